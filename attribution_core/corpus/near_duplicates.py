"""Near-duplicates: images that look the same but for size, encoding or a slight change of tone.

Each image is kept as 16 x 16 RGB pixels. Two are near-duplicates where the root mean square of what differs is at most
`threshold` times the contrast of the one that has more of it (the root mean square about its mean colour): the same
thing in other colours, or another thing in the same colours, is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.errors import InvalidInputError

THRESHOLD = 0.1
LARGEST = 0.5
"""A threshold above this would call images alike that are not."""
SIDE = 16
METHOD = f"{SIDE} x {SIDE} RGB pixels, root mean square of the difference over contrast"
FLATTEST = 1.0
"""Grey levels; what has less contrast counts as having this much."""
_BLOCK, _AXES = 512, 24
Pixels = NDArray[np.uint8]


def signature(image: Image.Image) -> Pixels:
    """(768,) uint8: an RGB image made 16 x 16, each of its pixels the mean of what it covers."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.uint8).reshape(-1)


@dataclass(frozen=True)
class NearDuplicates:
    """Sets of images that are one work. sets: positions, ascending, at least two each; in order of their first."""

    sets: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        """How many images repeat another one."""
        return sum(len(members) - 1 for members in self.sets)


def near_duplicates(signatures: Sequence[Pixels] | Pixels, threshold: float = THRESHOLD) -> NearDuplicates:
    """Group images by what `signature` gives.

    In order of contrast (of equals, the first in the corpus) each image joins the first one that leads a set and is
    alike, or leads a set of its own: so all of a set are like its leader, and no chain joins what is not. Exact; images
    of other contrast are never compared. signatures: (n, 768). threshold: 0 groups equal ones only. Raises
    `InvalidInputError` for a threshold outside of 0 to 0.5.
    """
    if not 0 <= threshold <= LARGEST:
        raise InvalidInputError(
            f"the threshold of near-duplicates is {threshold:g}, expected 0 to {LARGEST:g}."
        )
    rows = np.asarray(signatures, dtype=np.uint8).reshape(len(signatures), -1)
    if not len(rows):
        return NearDuplicates(())
    # Equal ones are one before anything is compared: a thousand blank images cost nothing.
    _, first, owner = np.unique(
        rows.view(np.dtype((np.void, rows.shape[1]))).ravel(), return_index=True, return_inverse=True
    )
    distinct = rows[first]
    contrast = _contrast(distinct)
    order = np.lexsort((first, contrast))
    lead = np.empty(len(first), dtype=np.int64)
    lead[order] = order[_leaders(distinct[order], contrast[order], threshold)] if threshold else order
    lead_of = lead[owner.ravel()]
    sets: dict[int, list[int]] = {}
    for position, leader in enumerate(lead_of):
        sets.setdefault(int(leader), []).append(position)
    return NearDuplicates(tuple(tuple(members) for members in sets.values() if len(members) > 1))


def _contrast(rows: Pixels) -> NDArray[np.float64]:
    parts = []
    for start in range(0, len(rows), 8192):
        pixels = rows[start : start + 8192].reshape(-1, SIDE * SIDE, 3).astype(np.float32)
        parts.append(np.sqrt(((pixels - pixels.mean(1, keepdims=True)) ** 2).mean((1, 2))))
    return np.maximum(np.concatenate(parts).astype(np.float64), FLATTEST)


def _leaders(rows: Pixels, contrast: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Which row leads each; rows in ascending contrast.

    What is centred cannot differ more than what is not, so the contrasts of two alike differ by no more than threshold
    times the larger: leaders below that are not looked at. Nor can what is projected on a few axes, here those along
    which images differ most: they tell most pairs apart. Those that are left are compared in full.
    """
    n = len(rows)
    lead = np.arange(n)
    few = _projected(rows)
    square = (few**2).sum(1)
    # Squares of this size are rounded by a few units; the full comparison decides.
    most = ((threshold * contrast) ** 2 * rows.shape[1] + 64).astype(np.float32)
    # One product of these tells of each pair: what it differs by, less what it may differ by.
    ours = np.column_stack([-2 * few, np.ones(n, np.float32), square - most]).astype(np.float32)
    theirs = np.column_stack([few, square, np.ones(n, np.float32)]).astype(np.float32)
    leaders = np.empty(0, dtype=np.int64)
    for start in range(0, n, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, n))
        near = leaders[contrast[leaders] >= contrast[start] * (1 - threshold) - 1e-6]
        against = np.concatenate([near, block])
        row, column = np.nonzero(ours[block] @ theirs[against].T <= 0)
        ends = np.searchsorted(row, np.arange(len(block) + 1))
        for k, j in enumerate(block):
            maybe = against[column[ends[k] : ends[k + 1]]]
            maybe = maybe[(maybe < j) & (lead[maybe] == maybe)]
            if maybe.size:
                gap = rows[maybe].astype(np.float64) - rows[j]
                alike = np.sqrt((gap**2).mean(1)) <= threshold * contrast[j]
                if alike.any():
                    lead[j] = maybe[np.argmax(alike)]
        leaders = np.concatenate([leaders, block[lead[block] == block]])
    return lead


def _projected(rows: Pixels) -> NDArray[np.float32]:
    """(n, 24) along the orthonormal axes of most variance of up to 20,000 rows."""
    sample = rows[:: max(1, len(rows) // 20_000)].astype(np.float32)
    middle = sample.mean(0)
    _, axes = np.linalg.eigh((sample - middle).T @ (sample - middle))
    best = np.ascontiguousarray(axes[:, -_AXES:], dtype=np.float32)
    return np.concatenate([(rows[s : s + 8192] - middle) @ best for s in range(0, len(rows), 8192)])
