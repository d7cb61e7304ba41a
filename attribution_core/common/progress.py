"""Progress of long-running work, with an estimate of the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Progress of a long-running task.

    stage: what is being done, in words. done, total: in steps; total may be an estimate, or None if unknown.
    seconds_left: estimated time left; None while unknown. resumed: steps done by an earlier run.
    """

    stage: str
    done: int
    total: int | None
    seconds_left: float | None = None
    resumed: int = 0

    @property
    def fraction(self) -> float:
        """Fraction done, from 0 to 1; 0 if the total is unknown."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


OnProgress = Callable[[Progress], None]
"""Called after each step; an exception from it aborts the work and propagates."""


class ProgressReporter:
    """Counts steps and reports each with the time left, estimated from the mean time per step."""

    def __init__(self, stage: str, total: int, on_progress: OnProgress | None) -> None:
        """stage: may be changed later. total: number of steps over all stages."""
        self.stage, self.total = stage, total
        self._on_progress, self._done, self._started = on_progress, 0, time.monotonic()

    def start(self) -> None:
        """Report zero progress."""
        if self._on_progress is not None:
            self._on_progress(Progress(self.stage, 0, self.total))

    def add(self, steps: int = 1) -> None:
        """Count steps, up to the total, and report."""
        self._done = min(self._done + steps, self.total)
        if self._on_progress is not None and self._done:
            left_s = (time.monotonic() - self._started) / self._done * (self.total - self._done)
            self._on_progress(Progress(self.stage, self._done, self.total, left_s))
