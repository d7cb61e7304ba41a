"""Progress of long work, and the time that is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far long work is.

    stage: what is being done, in words. done, total: in steps of that work; total is None where nobody knows, and may
    be an estimate. seconds_left: None until there is something to go by. resumed: steps that an earlier run had done.
    """

    stage: str
    done: int
    total: int | None
    seconds_left: float | None = None
    resumed: int = 0

    @property
    def fraction(self) -> float:
        """Done, from 0 to 1; 0 where the total is not known."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


OnProgress = Callable[[Progress], None]
"""Called after each step; what it raises ends the work and is passed on."""


class ProgressReporter:
    """Counts steps and reports each with the time that is left, by the mean of the steps so far."""

    def __init__(self, stage: str, total: int, on_progress: OnProgress | None) -> None:
        """stage: may be changed on the way. total: of all stages."""
        self.stage, self.total = stage, total
        self._on_progress, self._done, self._started = on_progress, 0, time.monotonic()

    def start(self) -> None:
        """Report that nothing is done yet."""
        if self._on_progress is not None:
            self._on_progress(Progress(self.stage, 0, self.total))

    def add(self, steps: int = 1) -> None:
        """Count steps; more than the total count as the total."""
        self._done = min(self._done + steps, self.total)
        if self._on_progress is not None and self._done:
            left_s = (time.monotonic() - self._started) / self._done * (self.total - self._done)
            self._on_progress(Progress(self.stage, self._done, self.total, left_s))
