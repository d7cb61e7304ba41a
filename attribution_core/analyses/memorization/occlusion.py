"""Where two images agree: how much their similarity falls when a spot of one of them is covered.

Works through any encoder, because it asks nothing but features (occlusion, after Zeiler and Fergus, ECCV 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from attribution_core.common.arrays import normalized, whole
from attribution_core.common.images import border_colour
from attribution_core.encoding.encoders import Encoder

CELLS = 8
_WIDE = 2  # cells that are covered at a time, each way: smaller spots are hardly missed
Falls = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OcclusionMaps:
    """Where the similarity of two images comes from.

    similarity: between both as they are. query, match: (cells, cells), by how much the similarity falls on average
    when a spot that holds the cell is covered with the image's own background; below 0 where it rises.
    """

    similarity: float
    query: Falls
    match: Falls


def occlusion_maps(
    encoder: Encoder, query: Image.Image, match: Image.Image, cells: int = CELLS
) -> OcclusionMaps:
    """Cover every spot of both images, one at a time; centre squares are compared.

    cells: of the map, each way, 2 to 32. Raises `InvalidInputError` outside.
    """
    whole("cells", cells, _WIDE, 32)
    side = cells * max(1, round(max(encoder.spec.input_size, 64) / cells))
    first, second = (_square(image, side) for image in (query, match))
    covered = [*_covered(first, cells), *_covered(second, cells)]
    rows = normalized(encoder.encode([first, second, *covered]).astype(np.float64))
    similarity, half = float(rows[0] @ rows[1]), len(covered) // 2
    return OcclusionMaps(
        similarity,
        _by_cell(similarity - rows[2 : 2 + half] @ rows[1], cells),
        _by_cell(similarity - rows[2 + half :] @ rows[0], cells),
    )


def _square(image: Image.Image, side: int) -> Image.Image:
    return ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC)


def _covered(image: Image.Image, cells: int) -> list[Image.Image]:
    """The image with each spot of `_WIDE` cells covered, row by row."""
    step, ground = image.width // cells, border_colour(image)
    images = []
    for top in range(cells - _WIDE + 1):
        for left in range(cells - _WIDE + 1):
            one = image.copy()
            one.paste(ground, (left * step, top * step, (left + _WIDE) * step, (top + _WIDE) * step))
            images.append(one)
    return images


def _by_cell(falls: Falls, cells: int) -> Falls:
    """The mean over the spots that hold each cell."""
    spots = cells - _WIDE + 1
    total, count = np.zeros((cells, cells)), np.zeros((cells, cells))
    for k, fall in enumerate(falls):
        top, left = divmod(k, spots)
        total[top : top + _WIDE, left : left + _WIDE] += fall
        count[top : top + _WIDE, left : left + _WIDE] += 1
    return np.asarray(total / count)
