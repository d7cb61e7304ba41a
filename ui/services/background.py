"""Long work on a thread of its own, step by step for whoever listens, and ended when nobody does or its time is up."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from attribution_core.errors import InvalidInputError

Step = TypeVar("Step")
Result = TypeVar("Result")
_LOOK_S = 0.25  # between two looks at the clock and the listener
_NICE = (
    5  # of work that takes seconds: what a visitor sees at once gets three times as much of a busy processor
)


@dataclass(frozen=True)
class Job:
    """What a visitor asked for, while it is worked on. seconds: that it may take. began: by `time.monotonic`.

    listening: whether anybody waits for the answer.
    """

    seconds: float
    began: float
    listening: Callable[[], bool]

    def check(self) -> None:
        """Raises `InvalidInputError` once the time is up, or nobody listens any more."""
        if time.monotonic() > self.began + self.seconds:
            raise InvalidInputError(
                f"this took longer than {self.seconds:g} seconds and was ended; ask for less, or try again later."
            )
        if not self.listening():
            raise InvalidInputError("nobody waited for the answer any more, so the work was ended.")


JOB: ContextVar[Job | None] = ContextVar("job", default=None)
"""The job that this thread or task works on; None outside of one."""


class _StoppedError(Exception):
    """Raised inside the work when nobody listens any more."""


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Threads that are used again: PyTorch makes threads of its own for every new one that computes."""
    return ThreadPoolExecutor(32, "handler")


def within_time(work: Callable[..., Result], *given: Any) -> Result:
    """What the work gives, on another thread, as long as its job has time and a listener; outside of a job, at once.

    Raises what the work raises, and what `Job.check` does: the work is then left behind.
    """
    job = JOB.get()
    if job is None:
        return work(*given)
    going = _pool().submit(contextvars.copy_context().run, work, *given)
    while not wait([going], timeout=_LOOK_S).done:
        job.check()
    return going.result()


def in_background(
    work: Callable[[Callable[[Step], None]], Result], name: str
) -> Generator[Step | Result, None, None]:
    """Yield what the work reports, and its result at the end; closing the iterator stops the work at its next report.

    work: is given the function that it reports with. name: of the thread. Reports that nobody fetched in time are
    skipped. Raises what the work raises, and what `Job.check` does: work that does not report is then left behind.
    """
    events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    gone = threading.Event()

    def report(step: Step) -> None:
        if gone.is_set():
            raise _StoppedError
        events.put(("step", step))

    def run() -> None:
        with contextlib.suppress(AttributeError, OSError):  # Linux alone has a priority for each thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            events.put(("result", work(report)))
        except BaseException as error:  # handed to the listener, who raises it
            events.put(("error", error))

    job, context = JOB.get(), contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True, name=name).start()
    try:
        while True:
            if job is not None:
                job.check()
            try:
                kind, event = events.get(timeout=None if job is None else _LOOK_S)
            except queue.Empty:
                continue
            while kind == "step" and not events.empty():
                kind, event = events.get()
            if kind == "error":
                raise event
            yield event
            if kind == "result":
                return
    finally:
        gone.set()
