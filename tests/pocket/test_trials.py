"""The trials that chose the training recipe: their probe, their table and their command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pocket.generator import trials
from pocket.generator.denoiser import Noise, TrainingSet, UNetShape, new_unet
from pocket.generator.trials import TABLE, TRIALS, probe

ROOT = Path(__file__).resolve().parents[2]


def small_set(n: int = 64) -> TrainingSet:
    torch.manual_seed(2)
    text = torch.randn(n, 4, 384).half()
    return TrainingSet(torch.randn(n, 4, 16, 16), text, text, text[:1], torch.arange(n))


def test_the_probe_of_a_network_that_says_nothing_is_the_targets_own_square() -> None:
    data, rows = small_set(), torch.arange(64)
    figures = probe(new_unet(UNetShape((32, 64), (False, True))), data, rows)
    t = torch.arange(64) * 1000 // 64
    noise = torch.randn(64, 4, 16, 16, generator=torch.Generator().manual_seed(11))
    square = Noise().add(data.latents, t, noise)[1].square().mean((1, 2, 3))
    assert figures["loss"] == pytest.approx(square.mean().item(), abs=1e-4)
    assert figures["loss, noisier half"] == pytest.approx(square[32:].mean().item(), abs=1e-4)


def test_a_row_takes_the_place_of_an_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "TABLE", tmp_path / "trials.json")
    first, second = list(TRIALS)[:2]
    for name, loss in ((second, 0.5), (first, 0.6), (second, 0.4)):
        trials._write({"trial": name, "loss": loss}, 5)
    rows = json.loads((tmp_path / "trials.json").read_text())["trials"]
    assert [(r["trial"], r["loss"]) for r in rows] == [(first, 0.6), (second, 0.4)]


def test_an_unknown_trial_is_named() -> None:
    result = CliRunner().invoke(trials.app, ["no such trial"])
    assert result.exit_code == 2
    assert "no such trial" in result.output


def test_the_table_that_ships_names_its_trials() -> None:
    rows = json.loads((ROOT / TABLE).read_text())["trials"]
    assert len(rows) >= 8
    assert {r["trial"] for r in rows} <= set(TRIALS)
    assert all(r["steps"] > 0 and 0 < r["loss"] < 1 for r in rows)
