"""The rest of a search that returns only the k nearest rows instead of all similarities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import FloatArray
from attribution_core.retrieval.rest import DEFAULT_BINS, Rest, RestKind

_ROUNDING = 1e-6
_ENOUGH = 30
"""With fewer sample rows, so few rows are beyond the k nearest that certain bounds are just as tight."""


def rest_of_truncated_search(
    nearest: NDArray[np.float32],
    top: int,
    others: int,
    mean: FloatArray,
    sample: NDArray[np.float32],
    unseen: NDArray[np.bool_],
    bins: int = DEFAULT_BINS,
) -> Rest:
    """Make the rest of q queries from their k nearest rows and a sample of all rows.

    Returned but unlisted rows are known exactly and go into `bins` bins of equal size. All rows beyond the k nearest
    form one more bin: their number and mean are known, none is above the last returned similarity, and the sample
    rows that were not returned are an even sample of them. Since a `Rest` has equally many sample images for every
    query, only the first few of each are used; the sample must therefore be in random order.

    Args:
        nearest: (q, k) all returned similarities, descending in [-1, 1].
        top: Number of listed rows.
        others: Number of rows that were not returned, 1 or more.
        mean: (q,) their mean similarity.
        sample: (q, m) similarities of rows drawn evenly from all rows, in random order.
        unseen: (q, m) whether a sample row was not returned.
        bins: Number of bins of the returned but unlisted rows.

    Returns:
        A Rest of kind "sampled", or "exact" if too few sample rows were not returned.
    """
    between = nearest[:, top:].astype(np.float64)
    steps = min(bins, between.shape[1])
    edge = np.linspace(0, between.shape[1], steps + 1).astype(np.int64)
    size = np.append(np.diff(edge), others)
    last = np.minimum(nearest[:, -1:].astype(np.float64) + _ROUNDING, 1.0)
    middle = np.clip(mean[:, None], -1.0, last)
    high = np.hstack([between[:, edge[:-1]], last])
    low = np.hstack([between[:, edge[1:] - 1], np.full_like(last, -1.0)])
    inner = np.add.reduceat(between, edge[:-1], axis=1) / size[:-1] if steps else between
    means, count = np.hstack([inner, middle]), np.broadcast_to(size, high.shape)
    drawn = int(unseen.sum(axis=1).min(initial=unseen.shape[1]))
    if drawn < _ENOUGH:
        return Rest(count, means, low, high)
    chosen = np.argsort(~unseen, axis=1, kind="stable")[:, :drawn]
    beyond = np.clip(np.take_along_axis(sample, chosen, axis=1).astype(np.float64), -1.0, last)
    owner = np.repeat(np.arange(steps + 1), np.append(np.diff(edge), drawn))
    return Rest(count, means, low, high, RestKind.SAMPLED, np.hstack([between, beyond]), owner)
