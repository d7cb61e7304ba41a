"""The strongest training images beside the image: pictures, shares as bars, makers and licences."""

from __future__ import annotations

import html
from collections.abc import Callable

from attribution_core.attribution.finding import find
from attribution_core.attribution.result import Attribution
from attribution_core.attribution.works import Work
from attribution_core.common.text import listing, rounded_percent
from attribution_core.corpus.credit import terms_of
from ui.widgets.set_links import alike_link

SOURCES = 4
Thumbnail = Callable[[int], str]
"""Position of a training image -> address of its picture."""


def reveal(
    result: Attribution, thumbnail: Thumbnail, headline: str, notes: list[str], *, unfinished: bool = False
) -> str:
    """The headline, the strongest sources with their shares, everything else as one grey segment, and notes below.

    unfinished: whether the image is still being drawn.
    """
    works = result.works[:SOURCES]
    strongest = max(*(work.influence for work in works), 1e-12)
    rows = "".join(
        _source(result, work, thumbnail, work.influence / strongest, rounded_percent(work.influence))
        for work in works
    )
    others = 1 - sum(work.influence for work in works)
    segments = "".join(f'<i style="width:{work.influence:.2%}"></i>' for work in works)
    count = result.n_training - sum(len(work.places) for work in works)
    rest = (
        f'<div class="segments" role="img" aria-label="These {len(works)}: {rounded_percent(1 - others)}; all others: '
        f'{rounded_percent(others)}">{segments}</div><p class="status">Blue: these {len(works)}, with '
        f"{rounded_percent(1 - others)} of all influence. Grey: the other {count:,} training images, with "
        f"{rounded_percent(others)}.{'' if unfinished else _counted(result, len(works))}</p>"
    )
    return _panel(headline, rows, rest, notes, "reveal drawing" if unfinished else "reveal")


def _counted(result: Attribution, shown: int) -> str:
    """What a headline's share counts of the sources in sight, and of the grey segment; "" where it says only these."""
    found = find(result)
    beyond = sum(place >= shown for place in found.places)
    if not beyond:
        return ""
    inside = len(found.places) - beyond
    counted = [f"these {shown}" if inside == shown else f"{inside} of these {shown}"] if inside else []
    counted.append(f"{beyond} more work{'s' * (beyond != 1)} in the grey part")
    return f" The {rounded_percent(found.influence)} above counts {listing(counted)}."


def similar(result: Attribution, thumbnail: Thumbnail, headline: str, notes: list[str]) -> str:
    """The most similar training images without any share, for an image that this model may not have made."""
    rows = "".join(
        _source(
            result,
            work,
            thumbnail,
            max(float(result.similarity[work.places[0]]), 0.0),
            f"similarity {result.similarity[work.places[0]]:.2f}",
        )
        for work in result.works[:SOURCES]
    )
    return _panel(headline, rows, "", notes, "reveal alike")


def _source(result: Attribution, work: Work, thumbnail: Thumbnail, length: float, value: str) -> str:
    first = work.places[0]
    name, credit = result.name_of(first), result.credits[first]
    terms = terms_of([result.credits[p] for p in work.places])
    address = html.escape(thumbnail(int(result.ids[first])), quote=True)
    picture = f'<img src="{address}" alt="training image: {html.escape(credit.description, quote=True)}">'
    return (
        f"<li>{alike_link(credit, picture)}"
        f'<div><div class="share"><i style="--part:{length:.3f}"></i><b>{value}</b></div>'
        f'<span class="name" title="{html.escape(name, quote=True)}">{_whole_words(name)}</span>'
        f'<small title="{html.escape(terms, quote=True)}">{_whole_words(terms)}</small></div></li>'
    )


def _whole_words(text: str) -> str:
    """Text that, where it is too long for its place, ends between two words: CSS leaves out a box as a whole."""
    return " ".join(f"<span>{html.escape(word)}</span>" for word in text.split())


def _panel(headline: str, rows: str, rest: str, notes: list[str], kind: str = "reveal") -> str:
    below = "".join(f'<p class="status">{html.escape(note)}</p>' for note in notes if note)
    return (
        f'<section class="{kind}"><div role="status"><h2>{html.escape(headline)}</h2></div>'
        f'<ol class="sources">{rows}</ol>{rest}{below}</section>'
    )
