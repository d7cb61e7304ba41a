"""Words and tables of the tab Regions."""

from __future__ import annotations

import html
from typing import Any

from attribution_core.analyses.regions import Grid
from attribution_core.attribution.result import Attribution
from attribution_core.common.estimates import Estimate
from attribution_core.common.text import percent
from attribution_core.evidence.regions import RegionEvidence
from ui.services.regions import AttributedRegion
from ui.widgets.status import no_shares

COLUMNS = {
    "rank": "number",
    "similarity": "number",
    "rank for the whole image": "str",
    "share %, on the scale of whole images": "number",
    "caption": "str",
    "creator": "str",
    "licence": "str",
    "id": "str",
}
"""Of the table, with the kind of what is in them."""
NOTE = (
    "This tab is exploratory. The region is treated as if it were an image of its own. The scale that turns "
    "similarity into shares was fitted on whole images, so read the order here rather than the shares."
)
NOT_YET = (
    '<p class="sentence">Choose a part of the image and press the button: here come the training images that '
    "it is closest to, with their similarities.</p>"
)


def answer(region: AttributedRegion) -> str:
    """Which training image a region is closest to."""
    first, part = region.result.credits[0], region.region
    where = (
        f"The painted part, {part.area:.0%} of the image"
        if part.painted
        else f"The box, {part.area:.0%} of the image"
    )
    by = f" by {first.creator}" if first.creator else ""
    text = (
        f"{where}, is closest to “{region.result.name_of(0)}”{by}, with a similarity of "
        f"{region.result.similarity[0]:.2f}."
    )
    why = "" if region.result.has_shares else no_shares(region.result)
    return f'<p class="sentence" role="status">{html.escape(text)}</p>{why}'


def table(head: Attribution, whole: Attribution | None) -> dict[str, Any]:
    """What the table shows: a row for each listed image, with its rank for the whole image where that was attributed.

    Without the column of shares where the image has none.
    """
    shown = [name for name in COLUMNS if head.has_shares or "%" not in name]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in _rows(head, whole)]
    return {"headers": shown, "data": [[row[name] for name in shown] for row in rows]}


def _rows(head: Attribution, whole: Attribution | None) -> list[list[Any]]:
    places = {} if whole is None else {int(i): str(k) for k, i in enumerate(whole.ids, 1)}
    beyond = "" if whole is None else f"over {len(whole)}"
    return [
        [
            k,
            round(float(head.similarity[k - 1]), 4),
            places.get(int(head.ids[k - 1]), beyond),
            round(100 * float(head.influence[k - 1]), 4),
            c.caption,
            c.creator,
            c.licence,
            c.id,
        ]
        for k, c in enumerate(head.credits, 1)
    ]


def grid_sentence(grid: Grid) -> str:
    """Which name most fields of a grid are closest to."""
    if not grid.parts:
        return '<p class="sentence">All fields show nothing but the background.</p>'
    first, shown = grid.parts[0], len(grid.cells) - grid.blank
    text = (
        f"{first.cells} of {shown} fields ({first.share:.0%}) are closest to an image of {grid.by} “{first.name}”, "
        f"which holds {percent(first.training_share)} of the training set."
    )
    if grid.blank:
        text += f" {grid.blank} show only background and are left clear."
    return f'<p class="sentence" role="status">{html.escape(text)}</p>'


def measured(evidence: RegionEvidence | None, method: str) -> str:
    """How often a region finds the right image, the collection's own method first."""
    head = (
        "<p>Each field is looked at with what surrounds it, twice as wide as the field, and takes the colour of "
        "the one training image whose features are closest; a name that made many training images comes up often "
        "by chance, so compare its part of the fields with its part of the training set.</p>"
    )
    if evidence is None:
        return head + "<p>How often a region finds the right image was not measured for this collection.</p>"
    lines = "".join(
        f"<tr><th scope='rowgroup' colspan='3'>{html.escape(name)}</th></tr>"
        + "".join(
            f"<tr><th scope='row'>{html.escape(view.view)}</th><td>{_interval(view.first)}</td>"
            f"<td>{_interval(view.ten)}</td></tr>"
            for view in views
        )
        for name, views in sorted(evidence.methods.items(), key=lambda item: item[0] != method)
    )
    return head + (
        f"<p>{evidence.cases} drawings that no model had seen were pasted, at half size, into a corner of other such "
        f"drawings, and added to the candidates. How often was the right one first, or among the first ten, of "
        f"{evidence.candidates:,}? A box that is off lies that part of its width too far in, both across and down. "
        f"With 95 % intervals; measured {html.escape(evidence.date)}.</p>"
        "<div class='scrolled' tabindex='0' role='region' aria-label='How often a region finds the right image'>"
        "<table class='plain'><thead><tr><th scope='col'>looked at</th><th scope='col'>first</th>"
        f"<th scope='col'>among the first ten</th></tr></thead><tbody>{lines}</tbody>"
        "</table></div><p>Compare the rows: that is what it costs to draw the box loosely, or to take the whole image. "
        "The pasted drawings are smaller copies of the right image; what a generator makes seldom is, so expect less "
        "of real images.</p>"
    )


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
