"""The HTML of a batch: one page without scripts that loads nothing."""

from __future__ import annotations

from attribution_core.reports.batch.row import SHOWN
from attribution_core.reports.batch.summary import BatchSummary
from attribution_core.reports.meaning import CAVEAT
from attribution_core.reports.render import render

_MAKERS = 100  # rows of the table by maker


def batch_page(summary: BatchSummary) -> str:
    """One HTML page that needs nothing else: no script, no other file, no network."""
    return render(
        "batch.html.j2",
        title=f"{len(summary.rows):,} image{'s' * (len(summary.rows) != 1)} over {summary.collection}",
        summary=summary,
        makers=summary.makers[:_MAKERS],
        shown=SHOWN,
        caveat=CAVEAT,
    )
