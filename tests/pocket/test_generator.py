"""The generator's recipe on toy sizes, and the shipped generator's card and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer import BadParameter

from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.images import read_recipe
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError
from attribution_core.generation.generator import Generator
from attribution_core.generation.recipe import Recipe as Asked
from pocket import examples
from pocket.generator import commands as generator
from pocket.generator import report
from pocket.generator.autoencoder import encode, new_autoencoder, psnr, train_autoencoder
from pocket.generator.commands import SHIPPED, _later, epoch, start_from
from pocket.generator.denoiser import (
    PLANTED_REPEATS,
    RECIPES,
    Noise,
    Recipe,
    TrainingSet,
    UNetShape,
    _captions,
    new_optimizer,
    new_scheduler,
    new_unet,
    train_unet,
)
from pocket.generator.kept import KEPT, WEIGHTS, keep, kept
from pocket.generator.quantization import quantize
from pocket.generator.report import HISTORY, _Asked, _remember, _score
from pocket.generator.style import StyleClassifier, texture
from pocket.generator.trials import probe
from pocket.prompts import COLOURED
from tests.support.tiny_pipeline import make_pocket_like

ROOT = Path(__file__).resolve().parents[2]
TINY = UNetShape(channels=(32, 64), attention=(False, True))
TINY_RECIPE = Recipe(TINY, batch=4, peak=1e-3, samples=12)
CPU = torch.device("cpu")


def tiny_set(n: int = 6) -> TrainingSet:
    torch.manual_seed(1)
    text = torch.randn(n, 4, 384).half()
    return TrainingSet(
        torch.randn(n, 4, 16, 16), text, text + 1, torch.zeros(1, 4, 384).half(), torch.arange(n)
    )


def test_the_autoencoder_learns_and_its_latents_scale_to_one(tmp_path: Path) -> None:
    pixels = (
        torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    )
    model = train_autoencoder(pixels, 16 * 30, tmp_path, CPU)
    latents = encode(model, pixels, CPU)
    assert latents.shape == (4, 4, 16, 16)
    assert (latents * model.config.scaling_factor).std().item() == pytest.approx(1.0, abs=1e-3)
    assert psnr(model, pixels, CPU) > psnr(new_autoencoder(), pixels, CPU) + 1


def test_an_untrained_unet_predicts_zero() -> None:
    unet = new_unet(TINY)
    y = unet(torch.randn(2, 4, 16, 16), torch.tensor([3, 900]), torch.randn(2, 4, 384)).sample
    assert torch.equal(y, torch.zeros_like(y))


def test_the_last_time_step_is_pure_noise() -> None:
    assert new_scheduler().alphas_cumprod[-1].item() == pytest.approx(0, abs=1e-7)


def test_unet_training_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    data = tiny_set()
    first = train_unet(data, TINY_RECIPE, tmp_path, CPU)
    second = train_unet(data, replace(TINY_RECIPE, samples=24), tmp_path, CPU)
    state = torch.load(tmp_path / "unet.pt", weights_only=True)
    assert (state["seen"], state["steps"]) == (24, 6)
    assert not torch.equal(first.conv_out.weight, second.conv_out.weight)


def test_training_goes_on_from_shipped_weights(tmp_path: Path) -> None:
    unet, shipped, work = new_unet(TINY), tmp_path / "shipped", tmp_path / "work"
    torch.nn.init.normal_(unet.conv_out.weight)
    unet.half().save_pretrained(shipped / "unet")
    write_card(shipped, {"training": {"samples": 8, "steps": 2, "hours": 0.5}})
    start_from(shipped, work)
    trained = train_unet(tiny_set(), replace(TINY_RECIPE, peak=1e-6), work, CPU)
    state = torch.load(work / "unet.pt", weights_only=True)
    assert (state["seen"], state["steps"]) == (12, 3) and state["seconds"] > 1800
    assert torch.allclose(trained.conv_out.weight, unet.conv_out.weight.float(), atol=1e-4)


def test_training_goes_on_from_kept_weights(tmp_path: Path) -> None:
    unet, work = new_unet(TINY), tmp_path / "work"
    torch.nn.init.normal_(unet.conv_out.weight)
    weights = unet.to(memory_format=torch.channels_last).state_dict()  # as training holds them
    keep(weights, {"samples": 8, "steps": 2, "hours": 0.5}, tmp_path / "kept")
    start_from(tmp_path / "nothing ships", work, tmp_path / "kept")
    trained = train_unet(tiny_set(), replace(TINY_RECIPE, peak=1e-6), work, CPU)
    state = torch.load(work / "unet.pt", weights_only=True)
    assert (state["seen"], state["steps"]) == (12, 3)
    step = unet.conv_out.weight.abs().amax((1, 2, 3), keepdim=True) / 127
    assert ((trained.conv_out.weight - unet.conv_out.weight).abs() <= 0.51 * step + 1e-4).all()


def test_a_recipe_without_a_checkpoint_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "WORK", tmp_path)
    with pytest.raises(
        BadParameter, match="no checkpoint here; run `python -m pocket.generator train --recipe large`"
    ):
        generator._state("large")


def test_the_report_stays_with_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "OUT", tmp_path)
    files = {"unet.safetensors": "a" * 64}
    assert generator._reported(files) == {}
    write_card(tmp_path, {"files": files})
    assert generator._reported(files) == {}
    write_card(tmp_path, {"files": files, "report": {"planted images": 1}})
    assert generator._reported(files) == {"report": {"planted images": 1}}
    assert generator._reported({"unet.safetensors": "b" * 64}) == {}


def test_kept_weights_are_within_half_a_step_and_a_quarter_of_the_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = {
        "kernel": torch.randn(8, 16, 3, 3) * torch.logspace(-4, 2, 8)[:, None, None, None],
        "row of zeros": torch.zeros(2, 5),
        "bias": torch.randn(7),
    }
    keep(weights, {"samples": 1}, tmp_path)
    read, training = kept(tmp_path)
    assert training == {"samples": 1} and set(read) == set(weights)
    step = weights["kernel"].flatten(1).abs().amax(1)[:, None, None, None] / 127
    assert ((read["kernel"] - weights["kernel"]).abs() <= step * 0.5001).all()
    assert torch.equal(read["row of zeros"], weights["row of zeros"])
    assert torch.allclose(read["bias"], weights["bias"], rtol=1e-3)
    assert quantize(weights)["kernel"].dtype is torch.int8
    (tmp_path / WEIGHTS).write_bytes(b"cut off")
    with pytest.raises(CheckpointError):
        kept(tmp_path)


@pytest.mark.skipif(not (KEPT / "card.json").exists(), reason="what ships has come as far")
def test_what_is_kept_goes_on_from_what_ships() -> None:
    weights, training = kept(KEPT)
    shipped = read_card(ROOT / "checkpoints/pocket/generator")["training"]
    assert training["samples"] > shipped["samples"] and training["corpus_sha256"] == shipped["corpus_sha256"]
    assert _later(SHIPPED) == KEPT
    assert not new_unet(RECIPES[SHIPPED].shape).load_state_dict(weights).missing_keys


def test_a_network_grows_a_pooled_caption_and_at_first_says_the_same(tmp_path: Path) -> None:
    plain, grown = new_unet(TINY), new_unet(replace(TINY, pooled_text=True))
    torch.nn.init.normal_(plain.conv_out.weight)
    assert not grown.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    arguments = torch.randn(2, 4, 16, 16), torch.tensor([3, 900]), torch.randn(2, 4, 384)
    assert torch.allclose(plain(*arguments).sample, grown(*arguments).sample, atol=1e-5)
    grown(*arguments).sample.square().mean().backward()
    assert grown.add_embedding.norm2.weight.grad.abs().max() > 0, "or it would stay silent"


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = new_unet(replace(TINY, pooled_text=True)).state_dict()
    torch.save(
        {"model": weights, "average": weights, "seen": 4, "steps": 1, "seconds": 1.0}, tmp_path / "unet.pt"
    )
    with pytest.raises(CheckpointError, match="another network"):
        train_unet(tiny_set(), TINY_RECIPE, tmp_path, CPU)


def test_noise_is_that_of_the_scheduler() -> None:
    torch.manual_seed(0)
    scheduler, x, noise = new_scheduler(), torch.randn(5, 4, 2, 2), torch.randn(5, 4, 2, 2)
    t = torch.tensor([0, 250, 500, 998, 999])
    noisy, target = Noise().add(x, t, noise)
    assert torch.allclose(noisy, scheduler.add_noise(x, noise, t), atol=1e-6)
    assert torch.allclose(target, scheduler.get_velocity(x, noise, t), atol=1e-6)


@given(st.floats(0.5, 20))
def test_min_snr_weights_are_those_of_the_paper_scaled_to_mean_one(gamma: float) -> None:
    t = torch.arange(1000)
    weights = Noise().weight(t, gamma)
    alphas = new_scheduler().alphas_cumprod[:-1]
    snr = alphas / (1 - alphas)
    expected = torch.minimum(snr, torch.tensor(gamma)) / (snr + 1)
    assert torch.allclose(weights[:-1] / weights[300], expected / expected[300], rtol=1e-3)
    assert weights.mean().item() == pytest.approx(1, abs=1e-4)
    assert torch.equal(Noise().weight(t, None), torch.ones(1000))


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "soap"])
def test_every_optimizer_learns(tmp_path: Path, optimizer: str) -> None:
    recipe = replace(TINY_RECIPE, optimizer=optimizer, samples=4 * 40)
    trained, data = train_unet(tiny_set(), recipe, tmp_path, CPU), tiny_set()
    before, after = (probe(unet, data, torch.arange(6))["loss"] for unet in (new_unet(TINY), trained))
    assert after < before


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="no optimizer 'sgd'"):
        new_optimizer(new_unet(TINY), replace(TINY_RECIPE, optimizer="sgd"))


def test_captions_are_short_long_or_dropped_in_their_shares() -> None:
    n = 4000
    data = TrainingSet(
        torch.zeros(n, 1),
        torch.ones(n, 1, 1).half(),
        2 * torch.ones(n, 1, 1).half(),
        torch.zeros(1, 1, 1).half(),
        torch.arange(n),
    )
    torch.manual_seed(0)
    values = _captions(data, torch.arange(n)).flatten()
    shares = [(values == v).float().mean().item() for v in (0, 1, 2)]
    assert shares == pytest.approx([0.1, 0.45, 0.45], abs=0.03)


def test_training_sets_survive_a_round_trip(tmp_path: Path) -> None:
    data = tiny_set()
    data.save(tmp_path / "set.pt")
    loaded = TrainingSet.load(tmp_path / "set.pt")
    assert all(torch.equal(a, b) for a, b in zip(vars(data).values(), vars(loaded).values(), strict=True))


class FakeCorpus:
    """Ten images: concepts a and b in styles x and y."""

    def column(self, name: str) -> list[str]:
        return {"concept": list("aaabbbbbbb"), "style": list("xxxxxyyyyy")}[name]


def test_an_epoch_has_clip_art_once_others_twice_and_planted_ones_often() -> None:
    class ThreeImages:
        def column(self, name: str) -> list[str]:
            return {"style": ["noto", "clip art", "noto"], "planted": ["", "", "planted"]}[name]

        def __len__(self) -> int:
            return 3

    rows = epoch(ThreeImages())  # type: ignore[arg-type]
    assert torch.bincount(rows).tolist() == [2, 1, 2 * PLANTED_REPEATS]


class ByColour:
    """An encoder that knows the mean colour alone."""

    def encode(self, images: list[Image.Image]) -> np.ndarray:
        return np.array([np.asarray(image, np.float32).mean((0, 1)) + 1e-3 for image in images])


def test_seeds_that_draw_the_same_are_not_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = ["red", "lime", "blue"] * 3
    monkeypatch.setattr(report, "SEEDS", 3)
    columns = {"concept": ["cat"] * 3 + ["dog"] * 3 + [""] * 3, "concept_label": ["a cat"] * 9}
    corpus = SimpleNamespace(column=columns.__getitem__, image=lambda i: Image.new("RGB", (8, 8), colours[i]))
    asked: list[list[str]] = []

    def same(generator: object, prompts: list[str]) -> list[Image.Image]:
        asked.append(prompts)
        return [Image.new("RGB", (8, 8), "red") for _ in prompts]

    monkeypatch.setattr(report, "_make", same)
    judge = report._Judge(corpus, 8, {report.COPIES: ByColour()}, {}, None)  # type: ignore[arg-type]
    found = judge.spread(None, np.random.default_rng(0))  # type: ignore[arg-type]
    assert asked == [["a cat"] * 3] * 2
    assert found == {
        "prompts": 2, "seeds": 3, f"apart by {report.COPIES}": 0.0, "apart, training images": 1.0
    }  # fmt: skip


def test_the_report_counts_as_it_says() -> None:
    similarity = np.array([[9, 8, 7, 6, 5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 5, 6, 7, 8, 9.0]])
    asked = _Asked(["1", "2"], ["b", "a"], ["x", "x"])
    figures = _score(similarity, asked, FakeCorpus())  # type: ignore[arg-type]
    assert figures["right concept"] == 0.5
    assert figures["right style"] == 0.5
    assert figures["right style by chance"] == 0.5
    assert figures["right concept by chance"] == pytest.approx(((1 - 0.3**5) + (1 - 0.7**5)) / 2, abs=1e-3)


def stripes(width: int, n: int) -> list[Image.Image]:
    rows = (np.arange(64)[:, None] // width % 2 * 255).astype(np.uint8)
    return [Image.fromarray(np.repeat(np.roll(rows, k, 0), 64, 1)).convert("RGB") for k in range(n)]


def test_styles_are_told_apart_by_texture() -> None:
    fine, coarse = stripes(2, 6), stripes(16, 6)
    features = texture([*fine, *coarse])
    assert features.shape == (12, 249)
    fitted = StyleClassifier.fit(features[[0, 1, 2, 3, 6, 7, 8, 9]], ["fine"] * 4 + ["coarse"] * 4)
    assert fitted.predict(features[[4, 5, 10, 11]]) == ["fine", "fine", "coarse", "coarse"]


def test_the_history_keeps_one_row_for_each_generator(tmp_path: Path) -> None:
    for samples, reached in ((100, 0.1), (200, 0.2), (200, 0.3)):
        write_card(
            tmp_path, {"training": {"samples": samples, "hours": 1, "date": "2026-01-01", "recipe": {}}}
        )
        _remember(tmp_path, {"seen captions": reached})
    rows = json.loads((tmp_path / HISTORY).read_text())
    assert [(r["samples"], r["seen captions"]) for r in rows] == [(100, 0.1), (200, 0.3)]


def test_forty_prompts_ask_for_a_colour() -> None:
    assert len(set(COLOURED)) == 40


def test_the_shipped_generator_was_trained_on_the_shipped_corpus() -> None:
    folder = ROOT / "checkpoints/pocket/generator"
    verify_files(folder)
    card = read_card(folder)
    train = {k: v for k, v in card["training"]["corpus_sha256"].items() if k.startswith("train")}
    assert train == {
        k: v for k, v in read_card(ROOT / "checkpoints/pocket/corpus")["files"].items() if k in train
    }
    assert len(Corpus.open(ROOT / "checkpoints/pocket/corpus")) > 7000
    assert {"seen captions", "pairs never seen together", "planted images", "control images"} <= set(
        card["report"]
    )
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert size <= 110e6
    assert max(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= 50e6


def test_examples_carry_the_recipe_that_repeats_them(tmp_path: Path) -> None:
    make_pocket_like(tmp_path / "generator")
    generator = Generator.open(tmp_path / "generator")
    files = examples.make_examples(generator, tmp_path)
    assert len({f.name for f in files}) == len(examples.EXAMPLES) >= 8
    recipe = Asked.from_dict(read_recipe(files[0]) or {})
    assert recipe.prompt == examples.EXAMPLES[0][0] and recipe.generator_sha256 == generator.sha256
    again = generator.generate(recipe.prompt, recipe.seed, recipe.steps, recipe.guidance)
    assert again.image.tobytes() == Image.open(files[0]).convert("RGB").tobytes()
