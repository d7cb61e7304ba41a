"""Long work on a thread of its own, step by step for whoever listens, and stopped when nobody does any more."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

Step = TypeVar("Step")
Result = TypeVar("Result")


class _StoppedError(Exception):
    """Raised inside the work when nobody listens any more."""


def in_background(
    work: Callable[[Callable[[Step], None]], Result], name: str
) -> Generator[Step | Result, None, None]:
    """Yield what the work reports, and its result at the end; closing the iterator stops the work at its next report.

    work: is given the function that it reports with. name: of the thread. Reports that nobody fetched in time are
    skipped. Raises what the work raises.
    """
    events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    gone = threading.Event()

    def report(step: Step) -> None:
        if gone.is_set():
            raise _StoppedError
        events.put(("step", step))

    def run() -> None:
        try:
            events.put(("result", work(report)))
        except BaseException as error:  # handed to the listener, who raises it
            events.put(("error", error))

    threading.Thread(target=run, daemon=True, name=name).start()
    try:
        while True:
            kind, event = events.get()
            while kind == "step" and not events.empty():
                kind, event = events.get()
            if kind == "error":
                raise event
            yield event
            if kind == "result":
                return
    finally:
        gone.set()
