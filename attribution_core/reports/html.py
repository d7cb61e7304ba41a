"""The HTML of a report: one printed page that says it all, then an appendix; no scripts, light and dark.

Captions, names and links are strangers' text: the template escapes everything, and the page forbids itself to load
anything (Content-Security-Policy).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attribution_core.attribution.groups import GroupBy
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import one_in, rounded_percent
from attribution_core.corpus.credit import creator_name, terms_of
from attribution_core.reports.meaning import CAVEAT, LIMITS, MEANING
from attribution_core.reports.render import render
from attribution_core.reports.report import Report
from attribution_core.reports.wording.attribution import attribution_how, place_in_work
from attribution_core.reports.wording.origin import ORIGIN

SOURCES = 5
"""Works on the first page."""
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
class _Source:
    """One of the top sources on the first page. part: length of its bar, from 0 to 1."""

    thumbnail: str
    description: str
    name: str
    value: str
    count: str
    part: float
    terms: str
    link: str
    opted_out: str


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
        sources=_sources(report),
        name_of=_name_of(report.attribution),
        caveat=CAVEAT,
        origin=ORIGIN[report.attribution.made_by],
        known=attribution_how(report.attribution),
        ranks=report.attribution.rank.tolist(),
        spread=_spread(report.attribution),
        place_in_work=place_in_work,
        meaning=MEANING,
        limits=LIMITS,
    )


def _name_of(result: Attribution) -> Callable[[GroupBy, str], str]:
    """How a group of a sum is called: makers as everywhere, other groups by their names."""
    publishers = {credit.creator for credit in result.credits if credit.icon_set}
    return lambda by, name: creator_name(name, publishers) if by is GroupBy.CREATOR else name


def _sources(report: Report) -> list[_Source]:
    result = report.attribution
    works = [work for work in result.works if work.places[0] < len(report.thumbnails)][:SOURCES]
    strongest = max((work.influence for work in works), default=0.0) or 1.0
    return [
        _Source(
            report.thumbnails[first],
            result.credits[first].description,
            result.name_of(first),
            rounded_percent(work.influence) if result.has_shares else f"similarity {similarity:.2f}",
            one_in(work.influence) if result.has_shares else "",
            work.influence / strongest if result.has_shares else max(similarity, 0.0),
            terms_of([result.credits[p] for p in work.places]),
            result.credits[first].link,
            result.credits[first].opted_out,
        )
        for work in works
        for first in (work.places[0],)
        for similarity in (float(result.similarity[first]),)
    ]


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
