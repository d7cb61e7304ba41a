"""The joined verdict on one image, as it stands at the top of Attribution and Memorization."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

from attribution_core.attribution.result import Attribution
from attribution_core.reports.meaning import CAVEAT
from attribution_core.reports.wording.joined import JoinedVerdict, joined_verdict
from attribution_core.reports.wording.origin import ORIGIN
from ui.services.app import Query
from ui.services.judged import Judged, of_query
from ui.widgets.status import NOTHING_YET

_PENDING = "Looking for one ..."


def joined_boxes(
    query: Query | None,
    result: Attribution | None,
    judged: Sequence[Judged] | None = None,
    *,
    pending: bool = False,
) -> list[str]:
    """What the tabs Attribution and Memorization say of the image in sight, HTML.

    pending: a verdict on copies that is not there yet is under way.
    """
    if query is None or result is None:
        return [f'<div class="headline"><h2>Nothing attributed yet</h2><p>{NOTHING_YET}</p></div>', ""]
    known = of_query(judged, query)
    verdict = joined_verdict(result, known.copy, known.opinion)
    if pending and known.copy is None:
        verdict = replace(verdict, copy=_PENDING)
    caveat = f"{ORIGIN[result.made_by]} {CAVEAT}" if result.has_shares else ORIGIN[result.made_by]
    kind = "found" if result.has_shares and result.stands_out else "spread"
    image = f"Image: “{html.escape(query.title)}”."
    found, lines = html.escape(verdict.influence), _lines(verdict)
    return [
        f'<div class="headline {kind}"><h2>{found.removesuffix(".")}</h2>'
        f"{_more(f'{lines}<p>{image} {html.escape(caveat)}</p>')}</div>",
        f'<div class="headline {kind} joined"><p>{image} <b>Influence:</b> {found}</p>{lines and _more(lines)}</div>',
    ]


def _lines(verdict: JoinedVerdict) -> str:
    return "".join(f"<p><b>{about}:</b> {html.escape(sentence)}</p>" for about, sentence in verdict.lines())


def _more(words: str) -> str:
    """What follows the first sentence; on a phone it takes a tap to read."""
    return f"<details><summary>The whole verdict</summary>{words}</details>"
