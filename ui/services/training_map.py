"""What the map in the tab Training set asks of the library: where images lie, their colours, what was chosen."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache, cached_property
from typing import Any

import numpy as np

from attribution_core.attribution.groups import UNKNOWN
from attribution_core.attribution.result import Attribution
from attribution_core.collection.training_map import MOST_CORNERS, TrainingMap
from attribution_core.common.text import one_line
from attribution_core.errors import InvalidInputError
from attribution_core.figures.training_map import COLOURS, Coloured, Here, Influences
from ui.services.app import Query
from ui.services.training_set import Found, TrainingSetServices

AROUND = 24
"""Images that are listed around a place of the map."""
_LONGEST = 60 * MOST_CORNERS  # characters of what was chosen


class ColourBy(StrEnum):
    """What the points of the map are coloured by."""

    MAKER = "creator"
    STYLE = "style"
    LICENCE = "licence"
    INFLUENCE = "influence"


class MapServices:
    """The map of the opened collection."""

    def __init__(self, own: TrainingSetServices) -> None:
        """own: what else the tab asks."""
        self._own = own
        self._corpus = own.services.collection.corpus
        self.coloured = cache(self._coloured)
        """Which points have which colour, by a column of the corpus."""

    @cached_property
    def map(self) -> TrainingMap:
        """The collection's map. Raises `CheckpointError` where there is none; once there is, it is read once."""
        return TrainingMap.open(self._own.services.collection)

    @cached_property
    def captions(self) -> list[str]:
        """Of each image, its caption or else its id."""
        columns = (self._corpus.column(name) for name in ("caption", "id"))
        return [caption or name for caption, name in zip(*columns, strict=True)]

    def _coloured(self, by: ColourBy) -> Coloured:
        """The largest groups, each in a colour."""
        values = self._own.search.values(str(by))
        names = [name for name, _ in values[: len(COLOURS)]]
        number = {name: k for k, name in enumerate(names)}
        column = self._corpus.column(str(by))
        groups = np.fromiter((number.get(value, -1) for value in column), np.int8, len(column))
        more = len(values) - len(names)
        name_of = self._corpus.maker if by is ColourBy.MAKER else str
        return Coloured(groups, tuple(name_of(name) for name in names), f"{more:,} more" if more else UNKNOWN)

    def influences(self, result: Attribution) -> Influences:
        """The images that an attribution lists, with their influence; with their similarity where it has no shares."""
        if result.has_shares:
            return Influences(result.ids, result.influence, "share", ".0%")
        return Influences(result.ids, result.similarity.astype(np.float64), "similarity")

    def here(self, query: Query, result: Attribution) -> Here:
        """Where an image stands: in the middle of those that it lists, by influence."""
        name = f"“{one_line(query.title)}”, placed among its nearest training images"
        return Here(*self.map.middle(result.ids, result.influence), name)

    def chosen(self, text: str) -> Found:
        """What was clicked or outlined.

        text: JSON of a list of [x, y] in the units of the map: one place, or the corners of an outline. Raises
        `InvalidInputError` for anything else, and for an outline with no image in it.
        """
        corners = _corners(text)
        if len(corners) == 1:
            x, y = corners[0]
            ids = self.map.around(x, y, AROUND)
            name = one_line(self.captions[int(ids[0])])
            return Found(ids, len(ids), what=f"The {len(ids)} training images around “{name}” on the map.")
        ids = self.map.inside(corners)
        if not len(ids):
            raise InvalidInputError("no training image lies within this outline; draw around some points.")
        images = "training image lies" if len(ids) == 1 else "training images lie"
        return Found(
            ids, len(ids), what=f"{len(ids):,} {images} within your outline, those in its middle first."
        )


def _corners(text: str) -> list[list[float]]:
    wrong = InvalidInputError(
        "what was chosen on the map could not be read; click a point, or draw around some."
    )
    if len(text) > _LONGEST:
        raise wrong
    try:
        corners: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong from error
    if not isinstance(corners, list) or not all(isinstance(one, list) and len(one) == 2 for one in corners):
        raise wrong
    numbers = [value for one in corners for value in one]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in numbers):
        raise wrong
    # Not by `isfinite`, which fails on a whole number of more digits than a float holds.
    if not all(-1e9 < value < 1e9 for value in numbers):
        raise wrong
    if len(corners) not in (1, *range(3, MOST_CORNERS + 1)):
        raise wrong
    return corners
