"""A ledger: many attributed images over one training set, one row each, and whose credit they add up to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attribution_core.attribution.groups import SUMS, Groups, group
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import csv_text
from attribution_core.corpus.corpus import Corpus
from attribution_core.generation.recipe import Recipe

TOP = 3
"""Credits that a row names."""
_CREDIT = ("id", "caption", "creator", "licence", "influence", "opted_out")


@dataclass(frozen=True, eq=False)
class LedgerEntry:
    """One attributed image. title: its prompt or file name. method: the collection's that attributed it.

    recipe: what made it, where that is known.
    """

    title: str
    method: str
    attribution: Attribution
    recipe: Recipe | None = None

    def to_dict(self) -> dict[str, Any]:
        """One flat row: what the image is, how it was attributed, its strongest credits, and the rest beside them."""
        recipe, result = self.recipe, self.attribution
        row: dict[str, Any] = {
            "title": self.title,
            "prompt": recipe.prompt if recipe else "",
            "seed": recipe.seed if recipe else None,
            "steps": recipe.steps if recipe else None,
            "guidance": recipe.guidance if recipe else None,
            "collection": result.collection,
            "method": self.method,
            "encoder": result.encoder,
            "temperature": result.temperature,
            "stands_out": result.stands_out,
            "made_by": str(result.made_by),
        }
        known = result.to_dict()["top"]
        for k in range(TOP):
            for name in _CREDIT:
                row[f"top_{k + 1}_{name}"] = known[k][name] if k < len(known) else None
        return {**row, "listed": len(result), "rest": result.rest}


@dataclass(frozen=True, eq=False)
class Ledger:
    """Entries, oldest first, and their mean influence by creator and by licence."""

    entries: tuple[LedgerEntry, ...]
    sums: tuple[Groups, ...]

    @classmethod
    def of(cls, entries: Sequence[LedgerEntry], corpus: Corpus) -> Ledger:
        """Add up the entries. Raises `InvalidInputError` without any, `CollectionMismatchError` as `group` does."""
        return cls(tuple(entries), tuple(group([e.attribution for e in entries], corpus, by) for by in SUMS))

    def to_dict(self) -> dict[str, Any]:
        """Return {"queries": [one row an image], "sums": [by creator, by licence]}."""
        return {"queries": [e.to_dict() for e in self.entries], "sums": [s.to_dict() for s in self.sums]}

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """One table: a row an image ("query" in the column "row"), then one a sum ("creator", "licence").

        A sum has its name as title and its mean influence with bounds in the last three columns; a row "everything
        else" holds what is not listed.
        """
        rows = [{"row": "query", **e.to_dict()} for e in self.entries]
        ends = ("influence", "low", "high")
        for groups in self.sums:
            by = str(groups.by)
            rows += [
                {"row": by, "title": g.name, **{end: getattr(g, end) for end in ends}} for g in groups.groups
            ]
            rows.append(
                {
                    "row": by,
                    "title": "everything else",
                    "influence": groups.rest,
                    "low": groups.rest_low,
                    "high": groups.rest_high,
                }
            )
        return csv_text([*rows[0], *ends], rows)
