"""Metrics of how well a ranking retrieves exemplars, as in the paper's `eval.py`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.common.arrays import float_matrix, unit_rows, whole
from attribution_core.errors import InvalidInputError

# Bounds the error of float32 products of unit rows; closer similarities are recomputed in float64.
_MARGIN = 4e-6
_BLOCK_VALUES = 1 << 26  # similarities held at once, 256 MB


def recall_at_k(is_exemplar_ranked: ArrayLike, k: int) -> float:
    """Return the fraction of exemplars among the first k, in [0, 1].

    Its ceiling is below 1 if there are more than k exemplars; see `recall_ceiling`.

    Args:
        is_exemplar_ranked: (n,) bool over the whole ranking, most similar first; break ties with exemplars last.
        k: 1 or more; may exceed the length of the ranking.
    """
    marks = _ranked(is_exemplar_ranked)
    return float(marks[: whole("k", k, 1)].sum() / marks.sum())


def recall_ceiling(n_exemplars: int, k: int) -> float:
    """Return the highest recall at k that any ranking of n exemplars can reach, in (0, 1]."""
    return min(1.0, whole("k", k, 1) / whole("n_exemplars", n_exemplars, 1))


def average_precision(is_exemplar_ranked: ArrayLike) -> float:
    """Return the mean over exemplars of (exemplars up to its position / position), in (0, 1].

    Args:
        is_exemplar_ranked: (n,) bool over the whole ranking, most similar first.
    """
    return precision_of_places(np.flatnonzero(_ranked(is_exemplar_ranked)) + 1)


def area_under_curve(positive: ArrayLike, negative: ArrayLike) -> float:
    """Return the area under the ROC curve, in [0, 1]; 0.5 is chance.

    This is the fraction of pairs in which the positive value is above the negative one; ties count half.

    Args:
        positive: (p,) values of positive cases.
        negative: (n,) values of negative cases.
    """
    above, below = (
        float_matrix(name, np.asarray(values)[None, :], np.float64)[0]
        for name, values in (("positive", positive), ("negative", negative))
    )
    if not above.size or not below.size:
        raise InvalidInputError("an area under the curve needs at least one positive and one negative value.")
    ranked = np.sort(below)
    less, less_or_equal = np.searchsorted(ranked, above), np.searchsorted(ranked, above, side="right")
    return float((less + less_or_equal).mean() / 2 / below.size)


def recall_of_places(places: NDArray[np.int64], k: int) -> float:
    """Return the fraction of exemplars among the first k. places: of one query, from `exemplar_places`."""
    return float((places <= whole("k", k, 1)).mean())


def precision_of_places(places: NDArray[np.int64]) -> float:
    """Return the average precision. places: of one query, from `exemplar_places`."""
    return float((np.arange(1, len(places) + 1) / places).mean())


def exemplar_places(
    training: Iterable[ArrayLike],
    queries: ArrayLike,
    exemplars: ArrayLike,
    chunks: ArrayLike,
    model: ArrayLike,
) -> list[NDArray[np.int64]]:
    """Return the ranks of each query's own exemplars among all training images and those exemplars.

    Candidates of a query are the training set and the exemplars of its own model. Ties rank training images first, so
    they never favour an exemplar; similarities are compared exactly, in float64.

    Args:
        training: Blocks of (n, d) unit rows of any size, each read once.
        queries: (q, d) unit rows.
        exemplars: (e, d) unit rows of all models' exemplars.
        chunks: (m, 2) start and stop row of each model's exemplars.
        model: (q,) the model that generated each query.

    Returns:
        One ascending array of ranks from 1 per query; its length is the model's number of exemplars.

    Raises:
        InvalidInputError: Shapes, ranges or values are invalid.
        CollectionMismatchError: Dimensions differ.
    """
    rows = unit_rows("queries", queries)
    own = unit_rows("exemplars", exemplars, rows.shape[1])
    spans, owner = _check_owners(chunks, model, len(own), len(rows))
    # Ascending similarities of each query's exemplars; a binary search counts how many a training image reaches.
    thresholds = [
        np.sort(_exact(rows[i], own[spans[owner[i], 0] : spans[owner[i], 1]])) for i in range(len(rows))
    ]
    ahead = [np.zeros(len(t), dtype=np.int64) for t in thresholds]
    for part in training:
        block = unit_rows("training", part, rows.shape[1])
        if len(block) == 0:
            continue
        step = max(1, _BLOCK_VALUES // len(block))
        for start in range(0, len(rows), step):
            similarity = rows[start : start + step] @ block.T
            for i, row in enumerate(similarity, start):
                ahead[i] += _count_reaching(row, thresholds[i], rows[i], block)
    return [
        (np.arange(1, len(t) + 1) + a[::-1]).astype(np.int64) for t, a in zip(thresholds, ahead, strict=True)
    ]


def _check_owners(
    chunks: ArrayLike, model: ArrayLike, exemplars: int, queries: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    spans, owner = np.asarray(chunks), np.asarray(model)
    if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype.kind not in "iu":
        raise InvalidInputError(f"chunks has shape {spans.shape}, expected (m, 2) whole numbers.")
    if owner.shape != (queries,) or owner.dtype.kind not in "iu":
        raise InvalidInputError(f"model has shape {owner.shape}, expected ({queries},) whole numbers.")
    if ((spans[:, 0] < 0) | (spans[:, 1] > exemplars) | (spans[:, 0] >= spans[:, 1])).any():
        raise InvalidInputError(f"chunks must be ranges of one row or more within the {exemplars} exemplars.")
    if queries and not (0 <= owner.min() and owner.max() < len(spans)):
        raise InvalidInputError(f"model must name one of the {len(spans)} chunks, 0 to {len(spans) - 1}.")
    return spans.astype(np.int64), owner.astype(np.int64)


def _exact(query: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray((rows.astype(np.float64) * query.astype(np.float64)).sum(axis=1))


def _count_reaching(
    row: NDArray[np.float32],
    thresholds: NDArray[np.float64],
    query: NDArray[np.float32],
    block: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Count the similarities of one row that reach each threshold."""
    number = np.searchsorted(thresholds - _MARGIN, row, side="right")
    doubtful = np.flatnonzero(number != np.searchsorted(thresholds + _MARGIN, row, side="left"))
    if doubtful.size:
        number[doubtful] = np.searchsorted(thresholds, _exact(query, block[doubtful]), side="right")
    counts = np.bincount(number, minlength=len(thresholds) + 1)
    return np.asarray(counts[::-1].cumsum()[::-1][1:])


def _ranked(is_exemplar_ranked: ArrayLike) -> NDArray[np.bool_]:
    marks = np.asarray(is_exemplar_ranked)
    if marks.ndim != 1 or marks.dtype != np.bool_:
        raise InvalidInputError(
            f"is_exemplar_ranked has shape {marks.shape} of {marks.dtype}, expected one row of booleans."
        )
    if not marks.any():
        raise InvalidInputError("is_exemplar_ranked marks no exemplar; give the whole ranking.")
    return marks
