"""Custom Diffusion on tiny random pipelines: what is tuned, what is put back, and what goes wrong."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.generation.generator import Generator
from attribution_core.generation.tuning.customization import (
    Customization,
    customize,
    customize_many,
    customized,
)
from attribution_core.generation.tuning.loop import Subject, TuningSettings, masked_mean, prompt_for
from attribution_core.generation.tuning.pipeline_edits import TOKEN
from attribution_core.generation.tuning.views import FAR, NEAR, draw_views
from tests.support.tiny_pipeline import make_clip_like, make_pocket_like

QUICK = {"steps": 4, "batch_size": 2, "views": 6, "learning_rate": 1e-2}


@pytest.fixture(scope="module", params=["pocket", "clip"])
def generator(request, tmp_path_factory):
    make = {"pocket": make_pocket_like, "clip": make_clip_like}[request.param]
    return Generator.open(make(tmp_path_factory.mktemp("generators") / request.param), device="cpu").load()


@pytest.fixture(scope="module")
def exemplar():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def tuned(generator, exemplar):
    return customize(generator, [exemplar], "red cat", **QUICK)


def state(generator) -> dict[str, torch.Tensor]:
    pipeline = generator.pipeline
    parts = {"unet": pipeline.unet, "text": pipeline.text_encoder, "vae": pipeline.vae}
    return {f"{p}.{k}": v.clone() for p, module in parts.items() for k, v in module.state_dict().items()}


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_only_cross_attention_keys_values_and_the_token_are_learned(generator, tuned):
    unet = generator.pipeline.unet
    expected = {n for n, _ in unet.named_parameters() if "attn2.to_k" in n or "attn2.to_v" in n}
    assert set(tuned.deltas) == expected and len(expected) == 8
    assert all(d.dtype == np.float16 and np.abs(d).max() > 1e-4 for d in tuned.deltas.values())
    assert tuned.token_row.dtype == np.float16 and tuned.token_row.shape == (32,)
    table = generator.pipeline.text_encoder.get_input_embeddings().weight
    ids = generator.pipeline.tokenizer("cat", add_special_tokens=False)["input_ids"]
    start = table[ids].mean(0).detach().numpy()
    # AdamW moves an entry by at most about the rate in a step: the row began at the category's last word.
    assert 1e-3 < np.abs(tuned.token_row - start).max() < 4 * 1e-2 * 1.5
    assert tuned.losses.shape == (4,) and np.isfinite(tuned.losses).all()


def test_tuning_leaves_the_generator_as_it_was(generator, exemplar):
    before, words = state(generator), len(generator.pipeline.tokenizer)
    tokenizer = generator.pipeline.tokenizer
    customize(generator, [exemplar], "cat", **QUICK)
    assert same(before, state(generator))
    assert generator.pipeline.tokenizer is tokenizer and len(tokenizer) == words
    assert not any(p.requires_grad or p.grad is not None for p in generator.pipeline.unet.parameters())


def test_the_same_seed_gives_the_same_customization(generator, exemplar, tuned):
    again = customize(generator, [exemplar], "red cat", **QUICK)
    other = customize(generator, [exemplar], "red cat", **QUICK, seed=1)
    assert np.array_equal(again.losses, tuned.losses) and np.array_equal(again.token_row, tuned.token_row)
    assert all(np.array_equal(again.deltas[k], tuned.deltas[k]) for k in tuned.deltas)
    assert not np.array_equal(other.losses, tuned.losses)


def test_within_the_context_images_change_and_afterwards_all_is_exact(generator, tuned):
    before, tokenizer = state(generator), generator.pipeline.tokenizer
    plain = generator.generate("a red cat", seed=1, steps=3).image.tobytes()
    with customized(generator, tuned) as within:
        assert within.generate("a red cat", seed=1, steps=3).image.tobytes() != plain
        assert within.generate(f"a {TOKEN} red cat", seed=1, steps=3).notices == ()
        ids = within.pipeline.tokenizer(TOKEN, add_special_tokens=False)["input_ids"]
        row = within.pipeline.text_encoder.get_input_embeddings()(torch.tensor(ids))[0]
        assert np.array_equal(row.numpy(), tuned.token_row.astype(np.float32))
        name, delta = next(iter(tuned.deltas.items()))
        changed = within.pipeline.unet.state_dict()[name] - before[f"unet.{name}"]
        assert np.allclose(changed.numpy(), delta, atol=1e-6)
    assert same(before, state(generator)) and generator.pipeline.tokenizer is tokenizer
    assert generator.generate("a red cat", seed=1, steps=3).image.tobytes() == plain


def test_an_error_within_the_context_still_restores(generator, tuned):
    before = state(generator)
    with pytest.raises(RuntimeError, match="inside"), customized(generator, tuned):
        raise RuntimeError("inside")
    assert same(before, state(generator))
    with (
        customized(generator, tuned),
        pytest.raises(AttributionError, match="already knows"),
        customized(generator, tuned),
    ):
        pass
    assert same(before, state(generator))


def test_cancelling_restores(generator, exemplar):
    class Stop(Exception):
        pass

    seen = []

    def stop(progress):
        seen.append((progress.step, progress.total))
        if progress.step == 2:
            raise Stop

    before, tokenizer = state(generator), generator.pipeline.tokenizer
    with pytest.raises(Stop):
        customize(generator, [exemplar], "cat", **QUICK, on_step=stop)
    assert seen == [(1, 4), (2, 4)]
    assert same(before, state(generator)) and generator.pipeline.tokenizer is tokenizer


def test_tuning_learns_the_exemplar(tmp_path):
    generator = Generator.open(make_pocket_like(tmp_path / "generator"), device="cpu")
    exemplar = Image.new("RGB", (32, 32), (200, 30, 30))
    fast, still = (
        customize(generator, [exemplar], "cat", steps=60, batch_size=4, views=16, learning_rate=rate)
        for rate in (1e-2, 1e-9)
    )
    # One seed, so both see the same noise at every step, and the losses compare pair by pair.
    assert fast.losses[0] == still.losses[0]
    # A single step may fall the other way by the noise of its views.
    assert fast.losses[-20:].mean() < 0.95 * still.losses[-20:].mean()
    assert (fast.losses < still.losses)[-20:].sum() >= 16


def test_it_survives_the_disk_and_makes_the_same_images(generator, tuned, tmp_path):
    tuned.save(tmp_path / "mine")
    loaded = Customization.load(tmp_path / "mine")
    assert loaded.settings == dict(tuned.settings) and loaded.category == "red cat"
    assert np.array_equal(loaded.losses, tuned.losses)
    with customized(generator, tuned):
        first = generator.generate(f"{TOKEN} red cat", seed=1, steps=2).image.tobytes()
    with customized(generator, loaded):
        assert generator.generate(f"{TOKEN} red cat", seed=1, steps=2).image.tobytes() == first
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["card.json", "customization.safetensors"]


def test_damaged_or_foreign_customizations_are_refused(generator, tuned, tmp_path):
    tuned.save(tmp_path)
    file = tmp_path / "customization.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"\x7f")
    with pytest.raises(CheckpointError, match="sha256"):
        Customization.load(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError):
        Customization.load(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "kind": "index"}))
    with pytest.raises(CheckpointError, match="index"):
        Customization.load(tmp_path)
    with pytest.raises(CheckpointError):
        Customization.load(tmp_path / "nowhere")
    foreign = dataclasses.replace(tuned, generator_sha256="0" * 64)
    with pytest.raises(CollectionMismatchError, match="tuned on generator"), customized(generator, foreign):
        pass
    fewer = dataclasses.replace(tuned, deltas=dict(list(tuned.deltas.items())[1:]))
    with pytest.raises(CollectionMismatchError, match="cross-attention"), customized(generator, fewer):
        pass


def test_one_that_changes_nothing_is_refused(generator, tuned):
    before = state(generator)
    empty = dataclasses.replace(tuned, deltas={k: np.zeros_like(d) for k, d in tuned.deltas.items()})
    with pytest.raises(AttributionError, match="changes nothing"), customized(generator, empty):
        pass
    assert same(before, state(generator))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": []}, "at least one image"),
        ({"category": "  "}, "category"),
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"views": 0}, "views"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"captions": ["a {category}"]}, "token"),
        ({"captions": []}, "captions"),
        ({"precision": "int8"}, "precision"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_values_are_named(generator, exemplar, change, words):
    values = {"images": [exemplar], "category": "cat", **QUICK, **change}
    with pytest.raises(InvalidInputError, match=words):
        customize(generator, **values)


def test_prompts_are_filled_with_or_without_the_token():
    assert prompt_for("two {token} {category}, noto style", "cat") == f"two {TOKEN} cat, noto style"
    assert prompt_for("two {token} {category}, noto style", "cat", token="") == "two cat, noto style"


@given(side=st.sampled_from([32, 64]), factor=st.sampled_from([4, 2]), seed=st.integers(0, 10_000))
def test_views_masks_and_captions_belong_together(side, factor, seed):
    # The picture is black on a white canvas, so that where it lies can be read from the pixels.
    inner = Image.new("RGB", (50, 50), "white")
    inner.paste(Image.new("RGB", (48, 48), "black"), (1, 1))
    views = draw_views([inner], 3, side, factor, np.random.default_rng(seed))
    cells = side // factor
    assert views.pixels.shape == (3, 3, side, side) and views.masks.shape == (3, cells, cells)
    assert np.abs(views.pixels).max() <= 1 and set(np.unique(views.masks)) <= {0.0, 1.0}
    for pixels, mask, prefix in zip(views.pixels, views.masks, views.prefixes, strict=True):
        assert mask.any()
        seen = (pixels[:, np.kron(mask, np.ones((factor, factor))) == 1] < -0.9).mean()
        extent = (pixels[0] < -0.5).any(0).sum() / side
        if prefix in FAR:
            assert not mask.all() and extent < 0.62 and seen > 0.5
        elif prefix in NEAR:
            assert mask.all() and extent > 0.9
        else:
            assert prefix == "" and extent > 0.5 and seen > 0.5


def test_views_flip_resize_and_enlarge_about_as_often_as_the_method_says():
    left = np.full((64, 64, 3), 255, dtype=np.uint8)
    left[:, :20] = 0
    views = draw_views([Image.fromarray(left)], 600, 64, 4, np.random.default_rng(0))
    near = np.mean([p in NEAR for p in views.prefixes])
    far = np.mean([p in FAR for p in views.prefixes])
    assert 0.27 < near < 0.40 and 0.17 < far < 0.37
    full = [p for p, m in zip(views.pixels, views.masks, strict=True) if m.all()]
    flipped = np.mean([p[0, 32, :32].mean() > p[0, 32, 32:].mean() for p in full])
    assert 0.4 < flipped < 0.6


def test_scattered_views_show_the_whole_image_smaller_and_anywhere_and_the_canvas_counts():
    inner = Image.new("RGB", (50, 50), "white")
    inner.paste(Image.new("RGB", (48, 48), "black"), (1, 1))
    views = draw_views([inner], 200, 64, 4, np.random.default_rng(0), scattered=True)
    assert views.masks.all() and set(views.prefixes) == {""}
    black = views.pixels[:, 0] < 0
    widths, heights = (black.any(axis).sum(1) for axis in (1, 2))
    assert np.abs(widths - heights).max() <= 1
    assert 0.45 < widths.min() / 64 < 0.55 and 0.8 < widths.max() / 64 < 0.9
    lefts = black.any(1).argmax(1)
    assert lefts.min() <= 1 and lefts.max() >= 25
    corners = views.pixels[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners > 0.9).all(1).any(1).all()


def test_the_loss_counts_each_sample_within_its_mask():
    values, mask = torch.zeros(2, 2, 2, 2), torch.zeros(2, 2, 2)
    values[0, :, 0, 0], mask[0, 0, 0] = 4.0, 1
    values[1] = torch.tensor([[1.0, 1.0], [3.0, 100.0]])
    mask[1] = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    assert masked_mean(values, mask).tolist() == pytest.approx([4, 5 / 3])


def test_subjects_tuned_side_by_side_learn_what_each_learns_alone(generator, exemplar):
    other = Image.new("RGB", (32, 32), (200, 30, 30))
    subjects = [
        Subject([exemplar], "red cat", seed=3),
        Subject(
            [other, exemplar],
            "art",
            ("{category} in the style of {token} art",),
            ("a dog", "a house"),
            seed=5,
        ),
    ]
    settings, before = TuningSettings(**QUICK), state(generator)
    alone = [customize_many(generator, [subject], settings)[0] for subject in subjects]
    seen = []
    together = customize_many(generator, subjects, settings, lambda progress: seen.append(progress.loss))
    assert same(before, state(generator))
    assert seen == pytest.approx(np.mean([c.losses for c in together], axis=0), rel=1e-6)
    for one, beside in zip(alone, together, strict=True):
        # Adam's first steps are the gradient's signs, so that rounding can turn those of nearly zero entries.
        assert beside.losses == pytest.approx(one.losses, rel=1e-4)
        for name, delta in one.deltas.items():
            assert np.mean(np.abs(beside.deltas[name] - delta) > 1e-4) < 0.01
        assert beside.token_row == pytest.approx(one.token_row, abs=1e-3)
        assert (beside.category, beside.settings) == (one.category, one.settings)
    assert not np.allclose(alone[0].losses, alone[1].losses, rtol=0.01)


def test_images_of_a_style_are_called_by_their_own_names(generator, exemplar, monkeypatch):
    words = []
    encode = generator.pipeline.encode_prompt
    monkeypatch.setattr(
        generator.pipeline, "encode_prompt", lambda texts, *rest: words.append(texts) or encode(texts, *rest)
    )
    subject = Subject(
        [exemplar] * 2, "art", ("{category} in the style of {token} art",), ("a dog", "a house")
    )
    customize_many(generator, [subject, Subject([exemplar], "cat")], TuningSettings(**QUICK | {"steps": 12}))
    named = {texts[0].split(" in the style")[0].split()[-1] for texts in words}
    assert named == {"dog", "house"} and all(t[1].endswith(f"{TOKEN} cat") for t in words)


def test_bad_subjects_are_named(generator, exemplar):
    with pytest.raises(InvalidInputError, match="one for each image"):
        Subject([exemplar], "art", names=("a dog", "a house"))
    with pytest.raises(InvalidInputError, match="at least one subject"):
        customize_many(generator, [])
    with pytest.raises(InvalidInputError, match="at least 2, one for each image"):
        customize_many(generator, [Subject([exemplar] * 2, "cat")], TuningSettings(views=1))


def test_the_command_tunes_saves_and_says_how_to_name_it(tmp_path):
    from typer.testing import CliRunner

    from attribution_core.cli.main import app

    make_pocket_like(tmp_path / "generator")
    (tmp_path / "images").mkdir()
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"images/{i}.png")
    base = [
        "customize",
        str(tmp_path / "images"),
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
        "--generator",
        str(tmp_path / "generator"),
        "--steps",
        "2",
        "--batch-size",
        "2",
    ]
    result = CliRunner().invoke(app, [*base, "--category", "red cat", "--style"])
    assert result.exit_code == 0, result.output
    assert f"red cat in the style of {TOKEN} art" in result.output and "2 images" in result.output
    assert Customization.load(tmp_path / "out").settings["images"] == 2
    result = CliRunner().invoke(app, [*base, "--category", " "])
    assert result.exit_code == 2 and "category" in result.output
