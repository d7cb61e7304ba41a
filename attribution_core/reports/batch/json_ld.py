"""A batch as JSON-LD: each attributed image with its first works, and the sums by maker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attribution_core.attribution.origin import MadeBy
from attribution_core.corpus.credit import Credit
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.batch.row import BatchRow
from attribution_core.reports.batch.summary import BatchSummary
from attribution_core.reports.json_ld import (
    Listed,
    attribution_node,
    dataset_node,
    image_node,
    json_ld_text,
    sum_node,
)
from attribution_core.reports.wording.origin import ORIGIN


def batch_json_ld(summary: BatchSummary) -> str:
    """One document; an image that was not attributed is left out."""
    nodes: list[Mapping[str, Any]] = [_row(row) for row in summary.rows if not row.problem]
    if summary.makers:
        sums = (sum_node(m.name, m.influence, m.low, m.high) for m in summary.makers)
        nodes.append(dataset_node("Sum of shares by maker", summary.sum_means, sums))
    return json_ld_text({"@graph": nodes})


def _row(row: BatchRow) -> dict[str, Any]:
    listed = [
        Listed(
            Credit(w.id, w.caption, creator=w.creator, source=w.source, licence=w.licence, link=w.link),
            w.influence,
            w.low,
            w.high,
            w.similarity,
        )
        for w in row.works
    ]
    recipe = None if row.recipe is None else Recipe(**row.recipe)
    about = {**image_node(row.name, recipe), "sha256": row.sha256}
    node = attribution_node(about, listed, ORIGIN[MadeBy(row.made_by)], shares=row.has_shares)
    return {**node, "abstract": row.headline}
