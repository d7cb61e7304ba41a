"""The progress bar of long commands, shown on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from attribution_core.common.progress import OnProgress, Progress


@contextmanager
def progress_bar(unit: str) -> Iterator[OnProgress]:
    """Show a bar on stderr; yields the function that updates it."""
    from tqdm import tqdm

    # Smooth the rate over many steps, for a steady estimate of the time left.
    with tqdm(unit=unit, disable=not sys.stderr.isatty(), smoothing=0.1, dynamic_ncols=True) as bar:

        def show(step: Progress) -> None:
            if step.done < bar.n:  # the next stage, which starts at zero
                bar.reset(step.total)
            if step.resumed > bar.n:
                bar.initial = bar.n = step.resumed  # done by an earlier run, so excluded from the rate
            bar.total = step.total
            bar.set_description(step.stage, refresh=False)
            bar.update(step.done - bar.n)

        yield show
