"""Figures with an interval: a mean over models, a proportion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import whole
from attribution_core.errors import InvalidInputError

DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; of a score: a mean over queries, its interval from drawing models again."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Three digits, as in the paper's tables, and the interval."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def over_models(
    values: NDArray[np.float64], model: NDArray[np.int64], seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Return the mean over queries; its interval comes from drawing whole models again.

    The queries of one model are alike, so drawing single queries would make the interval too narrow.

    Args:
        values: (q,) one figure a query.
        model: (q,) the model that made it.
        seed: Fixes the draws.
        draws: How many.
    """
    whole("draws", draws, 1)
    _, number = np.unique(model, return_inverse=True)
    total, many = np.bincount(number, values), np.bincount(number)
    drawn = np.random.default_rng(seed).integers(0, len(many), size=(draws, len(many)))
    means = total[drawn].sum(axis=1) / many[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high))


def proportion(found: NDArray[np.bool_]) -> Estimate:
    """The part of independent yes-or-no cases that is yes, with Wilson's 95 % interval, which is honest at 0 and 1.

    Raises `InvalidInputError` where there is no case.
    """
    from scipy.stats import binomtest  # slow to load, so only where it is used

    if not len(found):
        raise InvalidInputError("a part of no cases says nothing; give one or more.")
    interval = binomtest(int(np.sum(found)), len(found)).proportion_ci(method="wilson")
    return Estimate(float(np.mean(found)), float(interval.low), float(interval.high))
