"""Progress of long work: counted, never beyond the total, with the time that is left."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from attribution_core.common import progress
from attribution_core.common.progress import Progress, ProgressReporter


def test_steps_are_counted_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0, 109.0])
    # Not the clock of the whole process, by which servers of other tests live.
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    seen: list[Progress] = []
    reporter = ProgressReporter("drawing", 10, seen.append)
    reporter.start()
    reporter.add()  # 2 s for one step: 18 s for the other nine
    reporter.stage = "looking"
    reporter.add(2)  # 9 s for three steps: 21 s for the other seven
    assert seen == [
        Progress("drawing", 0, 10),
        Progress("drawing", 1, 10, 18.0),
        Progress("looking", 3, 10, 21.0),
    ]


def test_more_steps_than_the_total_count_as_the_total() -> None:
    seen: list[Progress] = []
    reporter = ProgressReporter("drawing", 2, seen.append)
    for _ in range(3):
        reporter.add()
    assert [step.done for step in seen] == [1, 2, 2] and seen[-1].seconds_left == 0


def test_what_the_listener_raises_ends_the_work() -> None:
    def stop(step: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ProgressReporter("drawing", 2, stop).add()


@pytest.mark.parametrize(
    ("done", "total", "fraction"), [(0, 4, 0.0), (1, 4, 0.25), (5, 4, 1.0), (3, None, 0.0), (0, 0, 0.0)]
)
def test_the_fraction_that_is_done(done: int, total: int | None, fraction: float) -> None:
    assert Progress("drawing", done, total).fraction == fraction
