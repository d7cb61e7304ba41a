"""The generator's recipe on toy sizes, and the shipped generator's card and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from attribution_core.cards import read_card, verify_files, write_card
from attribution_core.corpus import Corpus
from pocket.autoencoder import encode, new_autoencoder, psnr, train_autoencoder
from pocket.denoiser import TrainingSet, UNetShape, _captions, new_scheduler, new_unet, train_unet
from pocket.generator import start_from_shipped
from pocket.generator_report import _Asked, _score

ROOT = Path(__file__).parent.parent
TINY = UNetShape(channels=(32, 64), attention=(False, True))
CPU = torch.device("cpu")


def tiny_set(n: int = 6) -> TrainingSet:
    torch.manual_seed(1)
    text = torch.randn(n, 4, 384).half()
    return TrainingSet(torch.randn(n, 4, 16, 16), text, text + 1, torch.zeros(1, 4, 384).half(), torch.arange(n))


def test_the_autoencoder_learns_and_its_latents_scale_to_one(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
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
    first = train_unet(data, TINY, 12, 4, 1e-3, tmp_path, CPU)
    second = train_unet(data, TINY, 24, 4, 1e-3, tmp_path, CPU)
    state = torch.load(tmp_path / "unet.pt", weights_only=True)
    assert (state["seen"], state["steps"]) == (24, 6)
    assert not torch.equal(first.conv_out.weight, second.conv_out.weight)


def test_training_goes_on_from_shipped_weights(tmp_path: Path) -> None:
    unet, shipped, work = new_unet(TINY), tmp_path / "shipped", tmp_path / "work"
    torch.nn.init.normal_(unet.conv_out.weight)
    unet.half().save_pretrained(shipped / "unet")
    new_autoencoder().half().save_pretrained(shipped / "vae")
    write_card(shipped, {"training": {"samples": 8, "steps": 2, "hours": 0.5}})
    start_from_shipped(shipped, work)
    trained = train_unet(tiny_set(), TINY, 12, 4, 1e-6, work, CPU)
    state = torch.load(work / "unet.pt", weights_only=True)
    assert (state["seen"], state["steps"]) == (12, 3) and state["seconds"] > 1800
    assert torch.allclose(trained.conv_out.weight, unet.conv_out.weight.float(), atol=1e-4)
    assert (work / "vae/config.json").exists()


def test_captions_are_short_long_or_dropped_in_their_shares() -> None:
    n = 4000
    data = TrainingSet(torch.zeros(n, 1), torch.ones(n, 1, 1).half(), 2 * torch.ones(n, 1, 1).half(),
                       torch.zeros(1, 1, 1).half(), torch.arange(n))
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


def test_the_report_counts_as_it_says() -> None:
    similarity = np.array([[9, 8, 7, 6, 5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 5, 6, 7, 8, 9.0]])
    asked = _Asked(["1", "2"], ["b", "a"], ["x", "x"])
    figures = _score(similarity, asked, FakeCorpus())  # type: ignore[arg-type]
    assert figures["right concept"] == 0.5
    assert figures["right style"] == 0.5
    assert figures["right style by chance"] == 0.5
    assert figures["right concept by chance"] == pytest.approx(((1 - 0.3**5) + (1 - 0.7**5)) / 2, abs=1e-3)


def test_the_shipped_generator_was_trained_on_the_shipped_corpus() -> None:
    folder = ROOT / "checkpoints/pocket/generator"
    verify_files(folder)
    card = read_card(folder)
    train = {k: v for k, v in card["training"]["corpus_sha256"].items() if k.startswith("train")}
    assert train == {k: v for k, v in read_card(ROOT / "checkpoints/pocket/corpus")["files"].items() if k in train}
    assert len(Corpus.open(ROOT / "checkpoints/pocket/corpus")) > 7000
    assert {"seen captions", "pairs never seen together", "planted images", "control images"} <= set(card["report"])
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert size <= 110e6
    assert max(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= 50e6
