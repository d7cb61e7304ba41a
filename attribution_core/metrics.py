"""How well a ranking finds the exemplars (the paper's `eval.py`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.checks import bool_matrix, float_matrix, whole
from attribution_core.errors import InvalidInputError


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
    places = np.flatnonzero(_ranked(is_exemplar_ranked)) + 1
    return float(np.mean(np.arange(1, places.size + 1) / places))


def _ranked(is_exemplar_ranked: ArrayLike) -> NDArray[np.bool_]:
    marks = np.asarray(is_exemplar_ranked)
    if marks.ndim != 1 or marks.dtype != np.bool_:
        raise InvalidInputError(
            f"is_exemplar_ranked has shape {marks.shape} of {marks.dtype}, expected one row of booleans."
        )
    if not marks.any():
        raise InvalidInputError("is_exemplar_ranked marks no exemplar; give the whole ranking.")
    return marks
