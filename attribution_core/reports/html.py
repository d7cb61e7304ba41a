"""The HTML of a report: one page without scripts, for paper and screen, light and dark.

Captions, names and links are strangers' text: the template escapes everything, and the page forbids itself to load
anything (Content-Security-Policy).
"""

from __future__ import annotations

from dataclasses import dataclass

from attribution_core.attribution.result import Attribution
from attribution_core.reports.meaning import LIMITS, MEANING
from attribution_core.reports.render import render
from attribution_core.reports.report import Report
from attribution_core.reports.wording.attribution import attribution_how, place_in_work
from attribution_core.reports.wording.origin import ORIGIN

_TOP = 18  # px above the tallest bar
_WIDTH, _HEIGHT = 900, 190  # px of the bars by rank


@dataclass(frozen=True)
class _Bar:
    """One rank, in px. x, y: its top left corner. middle: where its interval is drawn, from low to high."""

    x: float
    y: float
    width: float
    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class _Spread:
    """Influence by rank on a linear scale from 0, in px from the top. even: of an even share.

    tallest: the influence at the top of the scale.
    """

    width: int
    bottom: int
    tallest: float
    even: float
    bars: tuple[_Bar, ...]


def report_page(report: Report) -> str:
    """One HTML page that needs nothing else: no script, no other file, no network."""
    return render(
        "report.html.j2",
        title=f"Attribution of “{report.title}”",
        report=report,
        origin=ORIGIN[report.attribution.made_by],
        known=attribution_how(report.attribution),
        ranks=report.attribution.rank.tolist(),
        spread=_spread(report.attribution),
        place_in_work=place_in_work,
        meaning=MEANING,
        limits=LIMITS,
    )


def _spread(result: Attribution) -> _Spread:
    tallest = max(float(result.influence_high.max()), 1e-12)
    step = _WIDTH / len(result)

    def height(share: float) -> float:
        return _TOP + _HEIGHT * (1 - min(share / tallest, 1.0))

    bars = tuple(
        _Bar((k + 0.1) * step, height(share), 0.8 * step, (k + 0.5) * step, height(low), height(high))
        for k, (share, low, high) in enumerate(
            zip(
                result.influence.tolist(),
                result.influence_low.tolist(),
                result.influence_high.tolist(),
                strict=True,
            )
        )
    )
    return _Spread(_WIDTH, _TOP + _HEIGHT, tallest, height(1 / result.n_training), bars)
