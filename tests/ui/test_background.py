"""Work in the background: what its listener sees, and what stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ui.services.background import in_background


def test_steps_arrive_in_order_and_the_result_last() -> None:
    taken = threading.Semaphore(0)

    def work(report: Callable[[int], None]) -> str:
        for step in range(3):
            report(step)
            assert taken.acquire(timeout=10)  # so that none is skipped
        return "done"

    seen: list[object] = []
    for event in in_background(work, "test"):
        seen.append(event)
        taken.release()
    assert seen == [0, 1, 2, "done"]


def test_steps_that_nobody_fetched_are_skipped_but_never_the_result() -> None:
    reported = threading.Event()

    def work(report: Callable[[int], None]) -> str:
        report(0)
        assert reported.wait(10)
        for step in range(1, 100):
            report(step)
        return "done"

    events = in_background(work, "test")
    assert next(events) == 0
    reported.set()
    rest = list(events)
    assert rest[-1] == "done" and rest[:-1] == sorted(rest[:-1])


def test_closing_stops_the_work_at_its_next_report() -> None:
    closed, stopped = threading.Event(), threading.Event()
    went_on: list[bool] = []

    def work(report: Callable[[int], None]) -> None:
        try:
            report(0)
            assert closed.wait(10)
            report(1)
            went_on.append(True)
        finally:
            stopped.set()

    events = in_background(work, "test")
    assert next(events) == 0
    events.close()
    closed.set()
    assert stopped.wait(10) and not went_on


def test_the_listener_gets_what_the_work_raises() -> None:
    def work(report: Callable[[int], None]) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(in_background(work, "test"))
