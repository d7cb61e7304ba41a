"""The second edition's training set, and its way to a bare GPU machine and back, at toy size."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image, ImageDraw
from typer import BadParameter

from attribution_core.common.cards import write_card
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError
from attribution_core.generation.generator import Generator
from pocket.corpus.make import TAGS
from pocket.generator import decoder
from pocket.generator.autoencoder import AutoencoderRecipe, difference, new_autoencoder
from pocket.generator.captions import (
    RECOLOURED_SLOTS,
    SLOTS,
    Words,
    plain_captions,
    recoloured_captions,
    with_article,
)
from pocket.generator.colours import NAMES, TARGETS, dominant, foreground, recolour, to_hsv, to_rgb
from pocket.generator.commands import WORK, text_model, text_states
from pocket.generator.denoiser import RECIPES, Recipe, UNetShape, new_unet
from pocket.generator.kept import WEIGHTS, keep, kept
from pocket.generator.looks import LOOKS, MIRRORED, PLAIN, PLAIN_LOOKS, VariedSet, looks_of, plan
from pocket.gpu import commands as gpu
from pocket.gpu import training
from pocket.gpu.training import PIECES, Bundle, run

TINY = Recipe(
    UNetShape(channels=(32, 64), attention=(False, True), pooled_text=True), batch=4, peak=1e-3, samples=8
)
TINY_AUTOENCODER = AutoencoderRecipe(16, (1, 1, 1, 1), (1, 1, 1, 1), batch=4, half_scale=0.25)
RGB = {
    "red": (220, 30, 40),
    "green": (40, 180, 60),
    "blue": (50, 90, 220),
    "white": (236, 236, 236),
    "black": (25, 25, 25),
}


def disc(colour: str, leaf: str = "green") -> np.ndarray:
    """A disc with a small leaf, on white."""
    image = Image.new("RGB", (128, 128), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 30, 110, 120), fill=RGB[colour])
    draw.rectangle((60, 8, 75, 28), fill=RGB[leaf])
    return np.asarray(image)


def test_hsv_is_what_the_standard_library_says_and_comes_back() -> None:
    import colorsys

    pixels = np.random.default_rng(0).integers(0, 256, (500, 3)).astype(np.uint8)
    ours = to_hsv(pixels)
    for rgb, (hue, saturation, value) in zip(pixels, ours, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*(rgb / 255))
        assert (hue / 360, saturation, value) == pytest.approx((h, s, v), abs=1e-5)
    assert np.abs(to_rgb(ours).astype(int) - pixels).max() <= 1


@pytest.mark.parametrize("colour", sorted(RGB))
def test_a_disc_has_the_colour_it_was_filled_with(colour: str) -> None:
    assert dominant(disc(colour)) == colour
    assert colour in NAMES


def test_white_inside_a_drawing_belongs_to_it_and_white_around_it_does_not() -> None:
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((10, 10, 54, 54), fill="white", outline="black", width=3)
    there = foreground(np.asarray(image))
    assert there[32, 32]
    assert not there[2, 2]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_recoloured_drawing_has_the_new_colour_and_keeps_the_rest(target: str) -> None:
    before = disc("red")
    after = recolour(before, target)
    if target == "red":
        assert after is None
        return
    assert after is not None
    assert dominant(after) == target
    np.testing.assert_array_equal(after[:29], before[:29])  # the leaf and the white around it
    np.testing.assert_array_equal(after[~foreground(before)], before[~foreground(before)])


def test_what_has_no_colour_or_is_black_is_not_recoloured() -> None:
    half = disc("red").copy()
    half[:, :64][foreground(half)[:, :64]] = RGB["blue"]
    half[75:, 64:][foreground(half)[75:, 64:]] = RGB["green"]
    assert dominant(half) == ""
    assert recolour(half, "green") is None
    assert recolour(disc("black"), "red") is None


def test_captions_say_the_thing_with_and_without_its_style_and_colour() -> None:
    words = Words("automobile", ("car", "vehicle"), "noto", "red")
    made = plain_captions(words, np.random.default_rng(0))
    assert len(made) == SLOTS
    assert {"automobile, noto style", "automobile", "an automobile", "noto style", "a red automobile"} <= set(
        made
    )
    assert "automobile, car, vehicle, noto style" in made
    assert sum("noto" not in caption for caption in made) / SLOTS >= 0.2
    assert any("car, noto style" in caption for caption in made)


def test_the_new_colour_takes_the_place_of_the_old_one_in_words() -> None:
    rng = np.random.default_rng(0)
    assert recoloured_captions(Words("red apple", ("red", "fruit"), "blob", "red"), "blue", rng) == [
        "blue apple, blob style",
        "blue apple, blob style",
        "a blue apple",
        "blue fruit, blob style",
    ]
    assert len(recoloured_captions(Words("owl", (), "noto", "brown"), "pink", rng)) == RECOLOURED_SLOTS
    assert recoloured_captions(Words("red and blue flag", (), "noto", "red"), "pink", rng) == []


@pytest.mark.parametrize(("thing", "said"), [("apple", "an apple"), ("bus", "a bus"), ("glasses", "glasses")])
def test_articles(thing: str, said: str) -> None:
    assert with_article(thing) == said


def test_a_plan_gives_planted_images_their_own_look_and_two_captions() -> None:
    words = [Words("red apple", ("fruit",), "noto", "red"), Words("owl", ("bird",), "blob", "brown")]
    made = plan(words, [False, True])
    assert made.texts[0] == ""
    assert len(set(made.texts)) == len(made.texts)
    assert set(made.looks[1]) == {PLAIN}
    assert {made.texts[c] for c in made.captions[1, PLAIN]} == {"owl, blob style", "owl, bird, blob style"}
    recoloured = [look for look in made.looks[0] if look >= PLAIN_LOOKS]
    assert len(recoloured) == LOOKS - PLAIN_LOOKS
    for look in recoloured:
        colour = list(TARGETS)[made.targets[0, look - PLAIN_LOOKS]]
        assert colour != "red"
        assert all(colour in made.texts[c] for c in made.captions[0, look])


def test_what_points_left_is_never_mirrored() -> None:
    made = plan([Words("left arrow sign", (), "noto", "")], [False])
    assert not set(made.looks[0]) & {MIRRORED, 3, 5}


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_looks_are_the_image_its_mirror_image_moved_ones_and_recoloured_ones() -> None:
    image = disc("red")
    looks = looks_of(encoded(image), [list(TARGETS).index("blue"), -1, -1, -1], seed=3)
    assert looks.shape == (LOOKS, 3, 128, 128)
    as_images = looks.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(as_images[PLAIN], image)
    np.testing.assert_array_equal(as_images[MIRRORED], image[:, ::-1])
    assert [dominant(look) for look in as_images[:PLAIN_LOOKS]] == ["red"] * PLAIN_LOOKS
    assert dominant(as_images[PLAIN_LOOKS]) == "blue"
    assert foreground(as_images[2]).sum() < foreground(image).sum()


def test_drawn_latents_and_captions_belong_together() -> None:
    n, u = 3, 7
    latents = torch.arange(n * LOOKS).float().reshape(n, LOOKS, 1, 1, 1).expand(-1, -1, 4, 16, 16).half()
    states = torch.arange(u).float().reshape(u, 1, 1).expand(-1, 24, 384).half()
    captions = (torch.arange(n * LOOKS) % (u - 1) + 1).reshape(n, LOOKS, 1).expand(-1, -1, SLOTS)
    looks = torch.arange(SLOTS).remainder(LOOKS).expand(n, -1)
    data = VariedSet(latents, states, captions, looks, torch.arange(n)).to(torch.device("cpu"))
    torch.manual_seed(0)
    rows = torch.arange(2000) % n
    x, text = data.draw(rows)
    which, said = x[:, 0, 0, 0].long(), text[:, 0, 0].long()
    assert torch.equal(which // LOOKS, rows)
    assert set((which % LOOKS).tolist()) == set(range(LOOKS))
    kept = said > 0
    assert torch.equal(said[kept], which[kept] % (u - 1) + 1)
    assert 0.07 < 1 - kept.float().mean() < 0.13


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("corpus")
    colours = ("red", "blue", "green", "white")
    rows = [
        {
            "id": f"set/{i}", "image": {"bytes": encoded(disc(colours[i % 4])), "path": f"{i}.png"},
            "caption": f"ball {i}, toy, noto style", "short_caption": f"ball {i}, noto style",
            "concept_label": f"ball {i}", "style": "noto", "planted": "planted" if i == 0 else "",
        }
        for i in range(6)
    ]  # fmt: skip
    Corpus.write(tmp_path / "corpus/train-core.parquet", rows)
    (tmp_path / "corpus" / TAGS).write_text(json.dumps({row["id"]: ["toy"] for row in rows}))
    write_card(tmp_path / "corpus", {"files": {}})
    return tmp_path / "corpus"


@pytest.fixture(scope="module")
def folder(corpus: Path) -> Iterator[Path]:
    """A packed folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "_wheels", lambda folder: folder.mkdir())
        patch.setattr(gpu, "FORMAT", "tar")  # xz takes a quarter of a minute
        gpu.pack(corpus, corpus / "bundle", corpus / "no start", counterfactual=False)
        yield corpus / "bundle"


def test_a_bundle_trains_is_killed_goes_on_and_comes_back(corpus: Path, folder: Path, tmp_path: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {
        "attribution_core", "images.parquet", "packages", "plan.npz", "pocket", "text_encoder.json",
        "text_encoder.safetensors", "train.py",
    }  # fmt: skip
    bundle = Bundle(folder)
    with np.load(folder / "plan.npz") as arrays:
        order = arrays["order"]
    assert (order == 0).sum() == 24
    assert (order == 1).sum() == 1

    tokenizer, encoder = text_model(WORK)
    words = [
        Words(f"ball {i}", ("toy",), "noto", c)
        for i, c in enumerate(("red", "blue", "green", "white", "red", "blue"))
    ]
    texts = list(plan(words, [i == 0 for i in range(6)]).texts)
    mine, whole = bundle.states(torch.device("cpu")), text_states(tokenizer, encoder, texts)
    assert (mine - whole).norm() < 0.03 * whole.norm()  # 10 bits

    out, work = tmp_path / "out", tmp_path / "work"
    options = {"recipe": TINY, "autoencoder": TINY_AUTOENCODER, "compiled": False}
    run(bundle, work, out, 0.03, only="autoencoder", **options)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="no UNet yet"):
        gpu.unpack(out, tmp_path / "back", corpus)
    run(bundle, work, out, 0.03, **options)  # type: ignore[arg-type]
    seen = torch.load(work / "unet.pt", weights_only=True)["seen"]
    run(bundle, work, out, 0.03, **options)  # type: ignore[arg-type]
    state = torch.load(work / "unet.pt", weights_only=True)
    assert state["seen"] > seen > 0

    gpu.unpack(out, tmp_path / "back", corpus)
    weights, training = kept(tmp_path / "back")
    assert weights.keys() == state["average"].keys()
    for name, weight in state["average"].items():
        step = weight.flatten(1).abs().amax() / 127 if weight.ndim > 1 else weight.abs().amax() / 1000
        torch.testing.assert_close(weights[name], weight, atol=0.6 * step.item() + 1e-6, rtol=0)
    assert training["samples"] == state["seen"]
    assert training["recipe"]["batch"] == TINY.batch
    latents = torch.load(work / "latents.pt", weights_only=True)
    assert latents.shape == (6, LOOKS, 4, 16, 16)

    whole_file = sorted(out.glob(f"{PIECES}*"))[-1]
    whole_file.write_bytes(whole_file.read_bytes()[: whole_file.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="not whole"):
        gpu.unpack(out, tmp_path / "cut", corpus)


def test_kept_weights_are_trained_on_here(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "continued", TINY)
    monkeypatch.setattr(gpu, "_wheels", lambda folder: folder.mkdir())
    monkeypatch.setattr(gpu, "FORMAT", "tar")
    vae = new_autoencoder(TINY_AUTOENCODER)
    unet = new_unet(TINY.shape)
    done = {"samples": 100, "steps": 5, "hours": 0.1, "recipe": {}, "autoencoder": {}}
    keep(unet.state_dict(), done, tmp_path / "kept", vae)
    gpu.pack(corpus, tmp_path / "bundle", tmp_path / "kept", counterfactual=False)
    gpu.train(0.01, tmp_path / "bundle", tmp_path / "work", compiled=False)
    state = torch.load(tmp_path / "work/unet.pt", weights_only=True)
    assert state["seen"] > 100
    assert state["steps"] == 5 + (state["seen"] - 100) // TINY.batch
    assert state["seconds"] > 360


def test_pieces_that_are_missing_or_cut_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="there is no"):
        gpu.unpack(tmp_path, tmp_path / "back", tmp_path)
    (tmp_path / f"{PIECES}00").write_bytes(b"not an archive" * 100)
    with pytest.raises(CheckpointError, match="not whole"):
        gpu.unpack(tmp_path, tmp_path / "back", tmp_path)


def test_the_decoder_is_trained_on_the_stored_unets_latents_and_stored(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "kept"
    done = {"samples": 100, "steps": 5, "hours": 0.1, "recipe": {"shape": asdict(TINY.shape)}}
    keep(new_unet(TINY.shape).state_dict(), done, stored, new_autoencoder(TINY_AUTOENCODER))
    unet, vae = (stored / WEIGHTS).read_bytes(), AutoencoderTiny.from_pretrained(stored / "vae")
    monkeypatch.setattr(decoder, "CRITIC_FIRST", 1)
    gpu.decoder(0.02, folder, stored, tmp_path / "work", batch=2, critic=0.3)
    assert (stored / WEIGHTS).read_bytes() == unet
    trained = AutoencoderTiny.from_pretrained(stored / "vae")
    for name, weight in vae.state_dict().items():
        assert torch.equal(weight, trained.state_dict()[name]) == name.startswith("encoder"), name
    _, training = kept(stored)  # checks the files against the card
    assert training["decoder"]["samples"] >= 2


def test_a_decoder_that_was_trained_elsewhere_replaces_the_stored_one_alone(
    corpus: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "DECODER_BATCH", 2)
    work, out, stored = (tmp_path / name for name in ("work", "out", "kept"))
    run(Bundle(folder), work, out, 0.03, TINY, TINY_AUTOENCODER, compiled=False)
    gpu.unpack(out, stored, corpus)
    before, weights = (stored / WEIGHTS).read_bytes(), kept(stored)[1]["samples"]
    only = {"only": "decoder", "compiled": False, "critic": 0.3}
    run(Bundle(folder), work, out, 0.03, TINY, TINY_AUTOENCODER, **only)  # type: ignore[arg-type]
    gpu.unpack(out, stored, corpus)
    assert (stored / WEIGHTS).read_bytes() == before
    done = kept(stored)[1]
    assert done["samples"] == weights and done["decoder"]["samples"] >= 2


def test_a_critic_pulls_as_hard_as_the_error_once_it_has_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "CRITIC_FIRST", 1)
    torch.manual_seed(0)
    critic = decoder.Critic(torch.device("cpu"), compiled=False)
    real, made = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    assert not critic.pull(real, made).any()
    pull = critic.pull(real, made)
    leaf = made.clone().requires_grad_()
    (error,) = torch.autograd.grad(difference(real, leaf), leaf)
    assert pull.norm().item() == pytest.approx(error.norm().item(), rel=1e-4)


def test_stored_weights_become_a_generator(tmp_path: Path) -> None:
    stored = tmp_path / "kept"
    done = {"samples": 1, "recipe": {"shape": asdict(TINY.shape)}, "corpus_sha256": {}}
    keep(new_unet(TINY.shape).state_dict(), done, stored, new_autoencoder(TINY_AUTOENCODER))
    gpu.export(tmp_path / "made", stored)
    gpu.export(tmp_path / "made", stored)  # in place of the first
    generator = Generator.open(tmp_path / "made", "cpu")
    assert generator.generate("an owl", 1, 2, 2.0).image.size == (128, 128)
    assert (generator.defaults.steps, generator.defaults.guidance) == (12, 2.5)
