"""Reliability: of all candidates with an influence near p, what fraction are exemplars?

A calibrated score of 1 % should be right once in a hundred. Influences over a training set span many orders of
magnitude, so bins are equal on a log scale, and the error is the share of influence that lies in the wrong bins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.common.arrays import bool_matrix, float_matrix, whole
from attribution_core.common.estimates import wilson_interval
from attribution_core.errors import InvalidInputError

_LEAST = 1e-12


@dataclass(frozen=True)
class Reliability:
    """Candidates of all queries in bins of influence; empty bins are omitted.

    low, high: (b,) edges. count: (b,) candidates. predicted: (b,) their mean influence. observed: (b,) fraction that
    are exemplars, each counted as 1 / exemplars of its query. misplaced: influence in wrong bins, in [0, 1]: half the
    sum over bins of |influence - exemplars|, per query. expected_error: the usual expected calibration error, the mean
    over candidates of |predicted - observed| of their bins.
    """

    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)
    predicted: NDArray[np.float64] = field(repr=False)
    observed: NDArray[np.float64] = field(repr=False)
    misplaced: float
    expected_error: float

    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends of Wilson's 95 % interval of `observed`, (b,) each; wide for bins with few candidates."""
        return wilson_interval(self.observed, self.count)


def reliability(influence: ArrayLike, is_exemplar: ArrayLike, bins: int = 24) -> Reliability:
    """Compare influences with the known exemplars.

    Args:
        influence: (q, n) of all candidates of every query; each row sums to 1 (within 0.001).
        is_exemplar: (q, n) bool, at least one per row.
        bins: Number of bins of equal width in log influence.

    Raises:
        InvalidInputError: Shapes or values are invalid.
    """
    shares = float_matrix("influence", influence, np.float64)
    marks = bool_matrix("is_exemplar", is_exemplar, shares.shape)
    whole("bins", bins, 1)
    if 0 in shares.shape or (shares < 0).any() or (np.abs(shares.sum(axis=1) - 1) > 1e-3).any():
        raise InvalidInputError(
            "influence must be non-negative and sum to 1 over all candidates of each query."
        )
    if not marks.any(axis=1).all():
        raise InvalidInputError(f"query {int(np.flatnonzero(~marks.any(axis=1))[0])} has no exemplar.")
    weight = np.where(marks, 1 / marks.sum(axis=1, keepdims=True), 0.0).ravel()
    flat = np.maximum(shares.ravel(), _LEAST)
    edges = np.geomspace(flat.min(), flat.max() * (1 + 1e-9), bins + 1)
    place = np.clip(np.searchsorted(edges, flat, side="right") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    predicted, observed = np.bincount(place, shares.ravel(), bins), np.bincount(place, weight, bins)
    used = count > 0
    gap = np.abs(predicted - observed)[used]
    return Reliability(
        edges[:-1][used],
        edges[1:][used],
        count[used],
        predicted[used] / count[used],
        observed[used] / count[used],
        float(gap.sum() / (2 * len(shares))),
        float(gap.sum() / shares.size),
    )
