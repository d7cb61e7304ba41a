"""Reliability: of all candidates given an influence near p, what part are exemplars?

A calibrated score of 1 % should be right once in a hundred. Influences over a training set span many powers of ten,
so bins are equal in their logarithm, and the error is told in shares: how much influence lies where it should not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.common.arrays import bool_matrix, float_matrix, whole
from attribution_core.errors import InvalidInputError

_LEAST = 1e-12


@dataclass(frozen=True)
class Reliability:
    """Candidates of all queries in bins of influence; bins without a candidate are left out.

    low, high: (b,) edges. count: (b,) candidates. predicted: (b,) their mean influence. observed: (b,) part of them
    that are exemplars, each counted as 1 / exemplars of its query. misplaced: in [0, 1], a query's mean of half the
    sum over bins of |influence in the bin - exemplars in the bin|: the influence that lies in wrong bins.
    expected_error: mean over candidates of |predicted - observed| of their bins, the usual calibration error.
    """

    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)
    predicted: NDArray[np.float64] = field(repr=False)
    observed: NDArray[np.float64] = field(repr=False)
    misplaced: float
    expected_error: float

    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wilson's 95 % interval of `observed`, (b,) each: wide where a bin holds few candidates."""
        z, n, p = 1.96, self.count, self.observed
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def reliability(influence: ArrayLike, is_exemplar: ArrayLike, bins: int = 24) -> Reliability:
    """Hold influences against what is known of them.

    Args:
        influence: (q, n) of every candidate of every query; each row sums to 1 (within 0.001).
        is_exemplar: (q, n) bool, at least one a row.
        bins: Of equal width in the logarithm of the influence.

    Raises:
        InvalidInputError: Shapes or values do not fit.
    """
    shares = float_matrix("influence", influence, np.float64)
    marks = bool_matrix("is_exemplar", is_exemplar, shares.shape)
    whole("bins", bins, 1)
    if 0 in shares.shape or (shares < 0).any() or (np.abs(shares.sum(axis=1) - 1) > 1e-3).any():
        raise InvalidInputError("influence must be rows of shares from 0 that sum to 1, of all candidates.")
    if not marks.any(axis=1).all():
        raise InvalidInputError(f"query {int(np.flatnonzero(~marks.any(axis=1))[0])} has no exemplar.")
    weight = np.where(marks, 1 / marks.sum(axis=1, keepdims=True), 0.0).ravel()
    flat = np.maximum(shares.ravel(), _LEAST)
    edges = np.geomspace(flat.min(), flat.max() * (1 + 1e-9), bins + 1)
    place = np.clip(np.searchsorted(edges, flat, side="right") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    given, right = np.bincount(place, shares.ravel(), bins), np.bincount(place, weight, bins)
    used = count > 0
    gap = np.abs(given - right)[used]
    return Reliability(
        edges[:-1][used],
        edges[1:][used],
        count[used],
        given[used] / count[used],
        right[used] / count[used],
        float(gap.sum() / (2 * len(shares))),
        float(gap.sum() / shares.size),
    )
