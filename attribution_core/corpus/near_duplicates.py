"""Near-duplicates: images that differ only in size, encoding or slightly in tone.

Each image is reduced to 16 x 16 RGB pixels. Two are near-duplicates if the root mean square of their difference is at
most `threshold` times the contrast of the one with more contrast (the root mean square about its mean colour). The
same object in other colours, or another object in the same colours, is therefore not a near-duplicate.
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
"""Largest threshold; above it, different images would count as near-duplicates."""
SIDE = 16
METHOD = f"{SIDE} x {SIDE} RGB pixels, root mean square of the difference over contrast"
FLATTEST = 1.0
"""Minimum contrast in grey levels; flatter images are treated as having this much."""
_BLOCK, _AXES = 512, 24
Pixels = NDArray[np.uint8]


def signature(image: Image.Image) -> Pixels:
    """Return the (768,) uint8 pixels of an RGB image reduced to 16 x 16 by averaging."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.uint8).reshape(-1)


@dataclass(frozen=True)
class NearDuplicates:
    """Near-duplicate groups. sets: ascending positions, at least two each; ordered by their first."""

    sets: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        """Number of images that repeat another one."""
        return sum(len(members) - 1 for members in self.sets)


def near_duplicates(signatures: Sequence[Pixels] | Pixels, threshold: float = THRESHOLD) -> NearDuplicates:
    """Group near-duplicates by their signatures.

    In order of contrast (ties: order in the corpus), each image joins the first group whose leader is similar enough,
    or becomes the leader of a new group. All members thus resemble their leader, and chains cannot join different
    images. The result is exact; images whose contrasts differ too much are never compared.

    signatures: (n, 768), from `signature`. threshold: 0 groups identical signatures only. Raises `InvalidInputError`
    for a threshold outside 0 to 0.5.
    """
    if not 0 <= threshold <= LARGEST:
        raise InvalidInputError(
            f"the threshold for near-duplicates is {threshold:g}, expected 0 to {LARGEST:g}."
        )
    rows = np.asarray(signatures, dtype=np.uint8).reshape(len(signatures), -1)
    if not len(rows):
        return NearDuplicates(())
    # Identical signatures are merged before any comparison: a thousand blank images cost nothing.
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
    """Return the leader of each row; rows must be in ascending contrast.

    Two tests rule out most pairs before the full comparison. Centring cannot increase a difference, so the contrasts
    of near-duplicates differ by at most threshold times the larger one. Neither can projection onto a few axes, here
    those of most variance.
    """
    n = len(rows)
    lead = np.arange(n)
    projected = _project(rows)
    square = (projected**2).sum(1)
    # The margin of 64 covers rounding of squares this large; the full comparison decides.
    most = ((threshold * contrast) ** 2 * rows.shape[1] + 64).astype(np.float32)
    # A product of these two matrices gives, for each pair, its squared difference minus the allowed one.
    ours = np.column_stack([-2 * projected, np.ones(n, np.float32), square - most]).astype(np.float32)
    theirs = np.column_stack([projected, square, np.ones(n, np.float32)]).astype(np.float32)
    leaders = np.empty(0, dtype=np.int64)
    for start in range(0, n, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, n))
        near = leaders[contrast[leaders] >= contrast[start] * (1 - threshold) - 1e-6]
        against = np.concatenate([near, block])
        row, column = np.nonzero(ours[block] @ theirs[against].T <= 0)
        ends = np.searchsorted(row, np.arange(len(block) + 1))
        for k, j in enumerate(block):
            candidates = against[column[ends[k] : ends[k + 1]]]
            candidates = candidates[(candidates < j) & (lead[candidates] == candidates)]
            if candidates.size:
                gap = rows[candidates].astype(np.float64) - rows[j]
                alike = np.sqrt((gap**2).mean(1)) <= threshold * contrast[j]
                if alike.any():
                    lead[j] = candidates[np.argmax(alike)]
        leaders = np.concatenate([leaders, block[lead[block] == block]])
    return lead


def _project(rows: Pixels) -> NDArray[np.float32]:
    """Project onto the 24 principal axes of up to 20,000 of the rows: (n, 24)."""
    sample = rows[:: max(1, len(rows) // 20_000)].astype(np.float32)
    middle = sample.mean(0)
    _, axes = np.linalg.eigh((sample - middle).T @ (sample - middle))
    best = np.ascontiguousarray(axes[:, -_AXES:], dtype=np.float32)
    return np.concatenate([(rows[s : s + 8192] - middle) @ best for s in range(0, len(rows), 8192)])
