"""How well a ranking finds the exemplars (the paper's `eval.py`)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.common.arrays import bool_matrix, float_matrix, unit_rows, whole
from attribution_core.errors import InvalidInputError

# float32 products of unit rows differ from the exact ones by less; what is nearer than this is computed again.
_DOUBT = 4e-6
_BLOCK_VALUES = 1 << 26  # similarities held at once, 256 MB


def rank_against_us(similarity: ArrayLike, is_exemplar: ArrayLike) -> NDArray[np.bool_]:
    """Put exemplar marks in rank order; among equal similarities exemplars come last.

    Args:
        similarity: (n,) higher is closer.
        is_exemplar: (n,) bool.

    Returns:
        (n,) bool, most similar first, for `recall_at_k` and `average_precision`.
    """
    scores = float_matrix("similarity", np.asarray(similarity)[None, :], np.float64)[0]
    marks = bool_matrix("is_exemplar", is_exemplar, scores.shape)
    return np.asarray(marks[np.lexsort((marks, -scores))])


def recall_at_k(is_exemplar_ranked: ArrayLike, k: int) -> float:
    """Return the part of the exemplars that is among the first k, in [0, 1].

    Its ceiling is below 1 where there are more than k exemplars: see `recall_ceiling`.

    Args:
        is_exemplar_ranked: (n,) bool over the whole ranking, most similar first.
        k: 1 or more; past the end of the ranking it means all of it.
    """
    marks = _ranked(is_exemplar_ranked)
    return float(marks[: whole("k", k, 1)].sum() / marks.sum())


def recall_ceiling(n_exemplars: int, k: int) -> float:
    """Return the greatest recall at k that any ranking of n exemplars can reach, in (0, 1]."""
    return min(1.0, whole("k", k, 1) / whole("n_exemplars", n_exemplars, 1))


def average_precision(is_exemplar_ranked: ArrayLike) -> float:
    """Return the mean over exemplars of (exemplars up to here / position), in (0, 1].

    Args:
        is_exemplar_ranked: (n,) bool over the whole ranking, most similar first.
    """
    return precision_of_places(np.flatnonzero(_ranked(is_exemplar_ranked)) + 1)


def area_under_curve(positive: ArrayLike, negative: ArrayLike) -> float:
    """Return how often a positive value is above a negative one, over all pairs, in [0, 1]; equal ones count half.

    The area under the receiver operating characteristic: 0.5 is chance.

    Args:
        positive: (p,) values of what should be found.
        negative: (n,) values of all else.
    """
    above, below = (
        float_matrix(name, np.asarray(values)[None, :], np.float64)[0]
        for name, values in (("positive", positive), ("negative", negative))
    )
    if not above.size or not below.size:
        raise InvalidInputError("an area under the curve needs at least one positive and one negative value.")
    ranked = np.sort(below)
    less, equal = np.searchsorted(ranked, above), np.searchsorted(ranked, above, side="right")
    return float((less + equal).mean() / 2 / below.size)


def recall_of_places(places: NDArray[np.int64], k: int) -> float:
    """Part of the exemplars among the first k, from what `exemplar_places` gives for one query."""
    return float((places <= whole("k", k, 1)).mean())


def precision_of_places(places: NDArray[np.int64]) -> float:
    """Average precision, from what `exemplar_places` gives for one query."""
    return float((np.arange(1, len(places) + 1) / places).mean())


def exemplar_places(
    training: Iterable[ArrayLike],
    queries: ArrayLike,
    exemplars: ArrayLike,
    chunks: ArrayLike,
    model: ArrayLike,
) -> list[NDArray[np.int64]]:
    """Return where each query's own exemplars stand among all training images and themselves.

    The pool of a query is the training set and the exemplars of its own model. Among equal similarities training
    images come first (ties are broken against us); similarities are compared exactly, in float64.

    Args:
        training: Blocks of (n, d) unit rows, each read once; their sizes are free.
        queries: (q, d) unit rows.
        exemplars: (e, d) unit rows of all models' exemplars.
        chunks: (m, 2) first row and row after the last of each model's exemplars.
        model: (q,) the model that made each query.

    Returns:
        One ascending array of places from 1 for each query; its length is the model's number of exemplars.

    Raises:
        InvalidInputError: Shapes, ranges or values do not fit.
        CollectionMismatchError: Dimensions differ.
    """
    asked = unit_rows("queries", queries)
    own = unit_rows("exemplars", exemplars, asked.shape[1])
    spans, maker = _owners(chunks, model, len(own), len(asked))
    # Thresholds of each query, ascending, so that a search among them counts how many a similarity reaches.
    reach = [
        np.sort(_exact(asked[i], own[spans[maker[i], 0] : spans[maker[i], 1]])) for i in range(len(asked))
    ]
    ahead = [np.zeros(len(r), dtype=np.int64) for r in reach]
    for given in training:
        block = unit_rows("training", given, asked.shape[1])
        if len(block) == 0:
            continue
        many = max(1, _BLOCK_VALUES // len(block))
        for start in range(0, len(asked), many):
            similarity = asked[start : start + many] @ block.T
            for i, row in enumerate(similarity, start):
                ahead[i] += _reaching(row, reach[i], asked[i], block)
    return [(np.arange(1, len(r) + 1) + a[::-1]).astype(np.int64) for r, a in zip(reach, ahead, strict=True)]


def _owners(
    chunks: ArrayLike, model: ArrayLike, exemplars: int, queries: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    spans, maker = np.asarray(chunks), np.asarray(model)
    if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype.kind not in "iu":
        raise InvalidInputError(f"chunks has shape {spans.shape}, expected (m, 2) whole numbers.")
    if maker.shape != (queries,) or maker.dtype.kind not in "iu":
        raise InvalidInputError(f"model has shape {maker.shape}, expected ({queries},) whole numbers.")
    if ((spans[:, 0] < 0) | (spans[:, 1] > exemplars) | (spans[:, 0] >= spans[:, 1])).any():
        raise InvalidInputError(f"chunks must be ranges of one row or more within the {exemplars} exemplars.")
    if queries and not (0 <= maker.min() and maker.max() < len(spans)):
        raise InvalidInputError(f"model must name one of the {len(spans)} chunks, 0 to {len(spans) - 1}.")
    return spans.astype(np.int64), maker.astype(np.int64)


def _exact(query: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray((rows.astype(np.float64) * query.astype(np.float64)).sum(axis=1))


def _reaching(
    row: NDArray[np.float32],
    reach: NDArray[np.float64],
    query: NDArray[np.float32],
    block: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Count the similarities of one row that reach each threshold."""
    number = np.searchsorted(reach - _DOUBT, row, side="right")
    doubtful = np.flatnonzero(number != np.searchsorted(reach + _DOUBT, row, side="left"))
    if doubtful.size:
        number[doubtful] = np.searchsorted(reach, _exact(query, block[doubtful]), side="right")
    counts = np.bincount(number, minlength=len(reach) + 1)
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
