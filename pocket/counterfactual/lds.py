"""The linear datamodeling score (Park et al., TRAK, ICML 2023): do a method's scores predict what leaving out does?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from attribution_core.common.estimates import Estimate

Floats = NDArray[np.float64]
RESAMPLES = 1000


def lds(scores: Floats, kept: NDArray[np.bool_], loss: Floats) -> Floats:
    """Return the rank correlation of predicted and actual losses, (q,) in [-1, 1].

    scores: (q, n) of each training image for each query, high for those that lower its loss. kept: (k, n) the images
    that each model saw. loss: (q, k) of each query under each model. A query without a preference has the
    correlation 0.
    """
    return rank_correlations(predicted(scores, kept), loss)


def predicted(scores: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Return losses as the scores predict them, (q, k), up to a factor and a constant."""
    return -scores @ kept.T.astype(np.float64)


def estimate(one: Floats, other: Floats, seed: int = 0) -> Estimate:
    """Return the mean rank correlation of two losses (q, k), with a bootstrap interval over queries and models.

    Queries share the models, so that resampling queries alone would give too narrow an interval.
    """
    rng = np.random.default_rng(seed)
    means = [
        rank_correlations(one[rows][:, models], other[rows][:, models]).mean()
        for rows, models in (
            (rng.integers(one.shape[0], size=one.shape[0]), rng.integers(one.shape[1], size=one.shape[1]))
            for _ in range(RESAMPLES)
        )
    ]
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(rank_correlations(one, other).mean()), float(low), float(high))


def rank_correlations(one: Floats, other: Floats) -> Floats:
    """Return Spearman's correlation of each row of (q, k) with the other's, 0 where a row is constant."""
    x, y = (rankdata(values, axis=1) for values in (one, other))
    x, y = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (x, y))
    norm = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return np.divide((x * y).sum(axis=1), norm, out=np.zeros(len(x)), where=norm > 0)
