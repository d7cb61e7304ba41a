"""The bar that every long command shows on a terminal, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from attribution_core.common.progress import OnProgress, Progress


@contextmanager
def progress_bar(unit: str) -> Iterator[OnProgress]:
    """A bar on stderr; gives the function that moves it."""
    from tqdm import tqdm

    # A rate smoothed over many steps, so that the time that is left holds.
    with tqdm(unit=unit, disable=not sys.stderr.isatty(), smoothing=0.1, dynamic_ncols=True) as bar:

        def show(step: Progress) -> None:
            if step.done < bar.n:  # the next stage, which counts anew
                bar.reset(step.total)
            if step.resumed > bar.n:
                bar.initial = bar.n = step.resumed  # of an earlier run: no part of this one's rate
            bar.total = step.total
            bar.set_description(step.stage, refresh=False)
            bar.update(step.done - bar.n)

        yield show
