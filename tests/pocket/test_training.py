"""The training loop that every pocket recipe shares: schedule, average and a resume that loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pocket.training import Trainer, learning_rate

BATCH = 4


class Killed(Exception):
    """Stands for a kill between two steps."""


def make_trainer(path: Path, target: int) -> Trainer:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    return Trainer(model, torch.optim.AdamW(model.parameters(), lr=1.0), 1e-2, target, path, every_s=0.0)


def work(trainer: Trainer, kill_at: int | None = None) -> None:
    for step in trainer.run(BATCH):
        if step == kill_at:
            raise Killed
        x = torch.randn(BATCH, 3)
        trainer.step((trainer.model(x) - x[:, :2]).square().mean())


def test_a_killed_run_that_resumes_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole.pt", 80)
    work(whole)
    with pytest.raises(Killed):
        work(make_trainer(tmp_path / "broken.pt", 80), kill_at=11)
    resumed = make_trainer(tmp_path / "broken.pt", 80)
    resumed.resume()
    assert resumed.seen == 11 * BATCH
    work(resumed)
    assert resumed.steps == whole.steps == 20
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_larger_target_trains_on_from_a_finished_run(tmp_path: Path) -> None:
    first = make_trainer(tmp_path / "c.pt", 40)
    work(first)
    longer = make_trainer(tmp_path / "c.pt", 60)
    longer.resume()
    work(longer)
    assert (longer.seen, longer.steps) == (60, 15)
    assert longer.seconds >= first.seconds


def test_no_partial_checkpoint_is_left_behind(tmp_path: Path) -> None:
    work(make_trainer(tmp_path / "c.pt", 40))
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_the_average_lags_behind_the_weights_but_follows_them(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "c.pt", 400)
    start = trainer.average.weight.clone()
    work(trainer)
    assert not torch.equal(trainer.average.weight, trainer.model.weight)
    assert (trainer.average.weight - trainer.model.weight).norm() < (start - trainer.model.weight).norm()


@given(step=st.integers(0, 100_000), fraction=st.floats(0, 1))
def test_the_rate_stays_between_zero_and_its_peak(step: int, fraction: float) -> None:
    assert 0 < learning_rate(1e-3, step, fraction) <= 1e-3


def test_the_rate_warms_up_stays_and_falls_to_two_percent() -> None:
    assert learning_rate(1.0, 0, 0.0, warmup=100) == pytest.approx(0.01)
    assert learning_rate(1.0, 500, 0.5, warmup=100) == pytest.approx(1.0)
    assert learning_rate(1.0, 500, 0.85, warmup=100, decay=0.3) == pytest.approx(0.51)
    assert learning_rate(1.0, 500, 1.0, warmup=100) == pytest.approx(0.02)


def test_a_paused_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    paused = make_trainer(tmp_path / "paused.pt", 80)
    paused.pause_s = 1e-9
    work(paused)
    assert paused.steps == 1
    resumed = make_trainer(tmp_path / "paused.pt", 80)
    resumed.resume()
    work(resumed)
    whole = make_trainer(tmp_path / "whole.pt", 80)
    work(whole)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_run_of_limited_time_ends_with_the_lowest_rate(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "timed.pt", 10**9)
    trainer.limit_s = 0.3
    work(trainer)
    assert trainer.steps > 1
    assert trainer.optimizer.param_groups[0]["lr"] < 0.1 * trainer.peak


def test_an_optimizer_that_starts_anew_warms_up_again(tmp_path: Path) -> None:
    weights = torch.nn.Linear(3, 2).state_dict()
    torch.save(
        {"model": weights, "average": weights, "seen": 400, "steps": 5000, "seconds": 1.0}, tmp_path / "a.pt"
    )
    trainer = make_trainer(tmp_path / "a.pt", 4000)
    trainer.resume()
    next(trainer.run(BATCH))
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(trainer.peak / 200)


def test_the_average_carries_batch_norms_statistics(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    trainer = Trainer(model, torch.optim.AdamW(model.parameters(), lr=1.0), 1e-2, 40, tmp_path / "norm.pt")
    for _ in trainer.run(BATCH):
        trainer.step(model(5 + torch.randn(BATCH, 3)).square().mean())
    kept = trainer.average.get_submodule("1")
    assert torch.equal(kept.get_buffer("running_mean"), model.get_submodule("1").get_buffer("running_mean"))
    assert kept.get_buffer("running_mean").abs().max() > 0.1
