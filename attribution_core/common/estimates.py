"""Estimates with 95 % intervals: means over models, and proportions."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import whole
from attribution_core.errors import InvalidInputError

DRAWS = 2000
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the value to three digits, as in the paper's tables, and the interval."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def over_models(
    values: NDArray[np.float64], model: NDArray[np.int64], seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Return the mean over queries, with an interval from a bootstrap over whole models.

    Queries of one model are correlated, so resampling single queries would give too narrow an interval.

    Args:
        values: (q,) one value per query.
        model: (q,) the model that generated the query.
        seed: Random seed for the bootstrap.
        draws: Number of bootstrap samples.
    """
    whole("draws", draws, 1)
    _, number = np.unique(model, return_inverse=True)
    total, count = np.bincount(number, values), np.bincount(number)
    samples = np.random.default_rng(seed).integers(0, len(count), size=(draws, len(count)))
    means = total[samples].sum(axis=1) / count[samples].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high))


def proportion(outcomes: NDArray[np.bool_]) -> Estimate:
    """Return the fraction of independent cases that are true, with Wilson's 95 % interval, valid even at 0 and 1.

    Raises `InvalidInputError` without cases.
    """
    if not len(outcomes):
        raise InvalidInputError("a proportion needs at least one case.")
    share = np.mean(outcomes, keepdims=True)
    low, high = wilson_interval(share, np.array([len(outcomes)]))
    return Estimate(float(share[0]), float(low[0]), float(high[0]))


def wilson_interval(
    share: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of Wilson's 95 % interval of proportions, in [0, 1].

    Cases may count in part, as those of a query with several exemplars do; SciPy's `binomtest` takes whole ones only.

    share: (b,) observed proportions, in [0, 1]. count: (b,) cases behind each, at least 1.
    """
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
