"""The linear datamodeling score (Park et al., TRAK, ICML 2023), by SciPy's `spearmanr`, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

Floats = NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval, in which it lies with 95 % confidence."""

    mean: float
    low: float
    high: float


def lds(scores: Floats, kept: NDArray[np.bool_], loss: Floats) -> Floats:
    """Return the rank correlation of predicted and actual losses, (q,) in [-1, 1].

    scores: (q, n) of each training image for each query, high for those that lower its loss. kept: (k, n) the images
    that each model saw. loss: (q, k) of each query under each model. A query without a preference has the
    correlation 0.
    """
    predicted = -scores @ kept.T.astype(np.float64)
    return _rank_correlations(predicted, loss)


def ceiling(loss: Floats, again: Floats) -> Floats:
    """Return the rank correlation of the losses under two seeds of the same halves, (q,). loss, again: (q, k)."""
    return _rank_correlations(loss, again)


def mean_of(values: Floats, seed: int = 0) -> Estimate:
    """Return the mean over queries (q,), with a bootstrap interval over them."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high))


def _rank_correlations(one: Floats, other: Floats) -> Floats:
    pairs = zip(one, other, strict=True)
    return np.array(
        [0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else spearmanr(a, b).statistic for a, b in pairs]
    )
