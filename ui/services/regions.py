"""What the tab Regions asks of the library: cut a region out, attribute it, colour the image by its fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.analyses.regions import Box, Grid, Region, attribute_region, boxed, grid, painted
from attribution_core.attribution.result import Attribution
from attribution_core.common.images import Limits, read_alpha
from attribution_core.errors import InvalidImageError, InvalidInputError
from attribution_core.evidence.regions import RegionEvidence
from ui.services.app import Query, Services

Layer = bytes | Path
MAX_PIXELS, MOST_LAYERS = 4_000_000, 8  # of what is painted, on a canvas of 480 px


@dataclass(frozen=True, eq=False)
class AttributedRegion:
    """An attributed region."""

    region: Region
    result: Attribution


class RegionServices:
    """The library side of the tab Regions."""

    def __init__(self, services: Services) -> None:
        """services: the opened collection."""
        self._services = services

    @cached_property
    def measured(self) -> RegionEvidence | None:
        """What was measured of the collection's regions. Raises `CheckpointError` where it is damaged."""
        return RegionEvidence.open(self._services.collection.path)

    def box(self, query: Query | None, method: str | None, edges: Sequence[float]) -> AttributedRegion:
        """Attribute a box. edges: left, right, top and bottom in per cent. Raises `AttributionError`."""
        whole = _present(query)
        return self._attribute(whole, boxed(whole.image, box_of(edges)), method)

    def painted(
        self, query: Query | None, method: str | None, layers: Sequence[Layer] | None
    ) -> AttributedRegion:
        """Attribute what was painted. layers: encoded images of any size, painted where not transparent."""
        whole = _present(query)
        return self._attribute(whole, painted(whole.image, read_mask(layers or ())), method)

    def grid(self, query: Query | None, method: str | None, by: str, cells: float) -> Grid:
        """Whose training image each field of the query is closest to. Raises `AttributionError`."""
        count = int(cells) if isinstance(cells, (int, float)) and float(cells).is_integer() else cells
        return grid(self._services.attributor(method), _present(query).image, by, count)  # type: ignore[arg-type]

    def _attribute(self, whole: Query, region: Region, method: str | None) -> AttributedRegion:
        services = self._services
        result = attribute_region(
            services.attributor(method), region, services.settings.top, services.made_by(whole)
        )
        return AttributedRegion(region, result)


def box_of(edges: Sequence[float]) -> Box:
    """The box of four edges in per cent: left, right, top, bottom. Raises `InvalidInputError`."""
    if any(not isinstance(v, (int, float)) for v in edges):
        raise InvalidInputError("one of the four edges is empty; give each a number from 0 to 100.")
    left, right, top, bottom = (v / 100 for v in edges)
    return Box(left, top, right, bottom)


def corner_at(index: Sequence[float], size: tuple[int, int]) -> tuple[int, int]:
    """Where a click lies, across and down, in whole per cent of a picture. size: its width and height.

    Raises `InvalidInputError` for what is no point.
    """
    if len(index) != 2:
        raise InvalidInputError("what was clicked is no point of the picture; click into it.")
    x, y = (round(100 * min(max(v, 0), side) / side) for v, side in zip(index, size, strict=True))
    return x, y


def between(corner: tuple[int, int], other: tuple[int, int], least: int = 2) -> tuple[int, int, int, int]:
    """Left, right, top and bottom edge in per cent of the box between two corners, `least` wide and high at least."""
    edges: list[int] = []
    for a, b in zip(corner, other, strict=True):
        low = min(a, b, 100 - least)
        edges += [low, max(a, b, low + least)]
    return edges[0], edges[1], edges[2], edges[3]


def read_mask(layers: Sequence[Layer]) -> NDArray[np.bool_]:
    """(height, width) where any of an editor's layers is not transparent.

    Raises `InvalidInputError` where there is no layer, `InvalidImageError` for what is too large or no image.
    """
    if len(layers) > MOST_LAYERS:
        raise InvalidImageError("what was painted has too many layers; reload the page and paint again.")
    mask: NDArray[np.bool_] | None = None
    for layer in layers:
        try:
            alpha = read_alpha(layer, Limits(pixels=MAX_PIXELS))
        except InvalidImageError as error:
            what = "has too many pixels" if "megapixels" in str(error) else "could not be read"
            raise InvalidImageError(f"what was painted {what}; reload the page and paint again.") from error
        if mask is not None and alpha.size != mask.shape[::-1]:
            alpha = alpha.resize(mask.shape[::-1], Image.Resampling.NEAREST)
        here = np.asarray(alpha) > 0
        mask = here if mask is None else mask | here
    if mask is None:
        raise InvalidInputError("nothing is painted yet; paint over the part that you mean, or choose a box.")
    return mask


def _present(query: Query | None) -> Query:
    if query is None:
        raise InvalidInputError("there is no image yet; generate or upload one on the first tab.")
    return query
