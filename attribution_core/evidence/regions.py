"""Measurements of regions: how often a drawing that was pasted into another is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate
from attribution_core.common.json_text import read_json
from attribution_core.errors import CheckpointError

FILE = "regions.json"


@dataclass(frozen=True)
class ViewRecall:
    """How often the pasted drawing ranked first (`first`) or in the first ten (`ten`), for one view of an image."""

    view: str
    first: Estimate
    ten: Estimate


@dataclass(frozen=True)
class RegionEvidence:
    """The test of one collection: its settings, and how often each method found the drawing."""

    cases: int
    candidates: int
    date: str
    methods: dict[str, tuple[ViewRecall, ...]]

    @classmethod
    def open(cls, collection: Path) -> RegionEvidence | None:
        """Read it from a collection's folder; None if it has none. Raises `CheckpointError` if the file is damaged."""
        path = CollectionLayout(collection).evidence(FILE)
        if not path.exists():
            return None
        try:
            stored = read_json(path)
            methods = {
                name: tuple(
                    ViewRecall(view, *(Estimate(**recall[f"recall@{k}"]) for k in (1, 10)))
                    for view, recall in views.items()
                    if view != "encoder"
                )
                for name, views in stored["methods"].items()
            }
            return cls(stored["settings"]["cases"], stored["candidates"], stored["date"], methods)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({error!r}); run `python -m pocket.evidence.regions` again."
            ) from error
