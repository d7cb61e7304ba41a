"""The rest of a search that hands out only the nearest rows: what lies between them and the list, and all beyond."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import FloatArray
from attribution_core.retrieval.rest import DEFAULT_BINS, Rest, RestKind

_ROUNDING = 1e-6
_ENOUGH = 30
"""With fewer sample rows, what is beyond is too few to matter, and bounds that are certain are as good."""


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

    What was handed out and is not listed is known one by one, and goes into `bins` bins of equal numbers. Beyond it
    lies one bin more: its number and mean are known, none of it is above the last that was handed out, and the sample
    rows that were not handed out are an even sample of it, whichever rows those were. As a `Rest` has as many sample
    images for every query, the first few of each are taken; the sample must lie in random order.

    Args:
        nearest: (q, k) all similarities that were handed out, descending in [-1, 1].
        top: How many of them are listed.
        others: How many rows were not handed out, 1 or more.
        mean: (q,) their mean similarity.
        sample: (q, m) similarities of rows drawn evenly from all, in random order.
        unseen: (q, m) whether a sample row was not handed out.
        bins: Of what was handed out.

    Returns:
        A Rest of kind "sampled", or "exact" where too few sample rows lie beyond.
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
