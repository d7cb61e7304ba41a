"""Words and tables of the tab Regions."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from attribution_core.analyses.regions import Grid
from attribution_core.attribution.groups import GroupBy
from attribution_core.attribution.result import Attribution
from attribution_core.common.estimates import Estimate
from attribution_core.common.text import percent
from attribution_core.corpus.credit import title_and_makers
from attribution_core.evidence.regions import RegionEvidence
from ui.services.regions import AttributedRegion
from ui.widgets import regions_texts as texts
from ui.widgets.group_names import GROUP_NAMES
from ui.widgets.status import no_shares


def answer(region: AttributedRegion) -> str:
    """Which training image a region is closest to."""
    first, part = region.result.credits[0], region.region
    text = (
        f"The {'painted part' if part.painted else 'box'} ({part.area:.0%} of the image) is closest to "
        f"{title_and_makers(region.result.name_of(0), [first])}. The similarity is {region.result.similarity[0]:.2f}."
    )
    why = "" if region.result.has_shares else no_shares(region.result)
    return f'<p class="sentence" role="status">{html.escape(text)}</p>{why}'


def table(head: Attribution, whole: Attribution | None) -> dict[str, Any]:
    """What the table shows: a row for each listed image, with its rank for the whole image where that was attributed.

    Without the column of shares where the image has none.
    """
    shown = [name for name in texts.COLUMNS if head.has_shares or "%" not in name]
    rows = [dict(zip(texts.COLUMNS, row, strict=True)) for row in _rows(head, whole)]
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
            c.maker,
            c.licence,
            c.id,
        ]
        for k, c in enumerate(head.credits, 1)
    ]


def grid_sentence(grid: Grid, name_of: Callable[[str], str]) -> str:
    """Which name most fields of a grid are closest to. name_of: how a name is shown."""
    if not grid.parts:
        return texts.ALL_BLANK
    first, shown = grid.parts[0], len(grid.cells) - grid.blank
    name = name_of(first.name)
    if grid.by is not GroupBy.CREATOR:
        name = f"{GROUP_NAMES[grid.by]} “{name}”"
    text = (
        f"Closest to {first.cells} of {shown} fields ({first.share:.0%}): {name}, with "
        f"{percent(first.training_share)} of the training set."
    )
    if grid.blank == 1:
        text += " One field shows only background and is left clear."
    elif grid.blank:
        text += f" {grid.blank} fields show only background and are left clear."
    return f'<p class="sentence" role="status">{html.escape(text)}</p>'


def measured(evidence: RegionEvidence | None, method: str) -> str:
    """How often a region finds the right image, the collection's own method first."""
    if evidence is None:
        return texts.HOW_GRID + texts.NOT_MEASURED
    lines = "".join(
        f"<tr><th scope='rowgroup' colspan='3'>{html.escape(name)}</th></tr>"
        + "".join(
            f"<tr><th scope='row'>{html.escape(view.view)}</th><td>{_interval(view.first)}</td>"
            f"<td>{_interval(view.ten)}</td></tr>"
            for view in views
        )
        for name, views in sorted(evidence.methods.items(), key=lambda item: item[0] != method)
    )
    columns = "".join(f"<th scope='col'>{name}</th>" for name in texts.MEASURED_COLUMNS)
    about = texts.MEASURED.format(
        cases=evidence.cases, candidates=evidence.candidates, date=html.escape(evidence.date)
    )
    return (
        f"{texts.HOW_GRID}{about}"
        f"<div class='scrolled' tabindex='0' role='region' aria-label='{texts.MEASURED_TABLE}'>"
        f"<table class='plain'><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table></div>"
        f"{texts.READ_MEASURED}"
    )


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
