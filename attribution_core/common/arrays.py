"""Validation of arrays and numbers in public functions, with errors of one plain sentence; log-sum-exp."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.errors import CollectionMismatchError, InvalidInputError

FloatArray = NDArray[np.float64]
_UNIT_TOLERANCE = 2e-3
_BLOCK_ROWS = 65_536


def float_matrix(name: str, value: ArrayLike, dtype: Any = np.float32) -> NDArray[Any]:
    """Return `value` as a finite, C-contiguous (n, m) matrix of `dtype`, copied only if necessary.

    Raises `InvalidInputError` if it is not a two-dimensional array of real numbers, or holds NaN or infinity.
    """
    array = _numeric(name, value)
    if array.ndim != 2:
        raise InvalidInputError(f"{name} has shape {array.shape}, expected two dimensions (rows, columns).")
    matrix = np.ascontiguousarray(array, dtype=dtype)
    for start in range(0, len(matrix), _BLOCK_ROWS):
        finite = np.isfinite(matrix[start : start + _BLOCK_ROWS])
        if not finite.all():
            row = start + int(np.flatnonzero(~finite.all(axis=1))[0])
            raise InvalidInputError(f"{name} holds NaN or infinity, first in row {row}; remove such rows.")
    return matrix


def normalized(rows: NDArray[Any]) -> NDArray[Any]:
    """Scale (n, d) floating-point rows to length 1, keeping their dtype; zero rows stay zero."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def unit_rows(name: str, value: ArrayLike, dim: int | None = None) -> NDArray[np.float32]:
    """Return `value` as an (n, d) float32 matrix after checking that its rows are unit rows.

    Raises `CollectionMismatchError` if `d != dim`, `InvalidInputError` if a row's length is not 1 (within
    0.002), if there are no columns, or as `float_matrix` does.
    """
    matrix = float_matrix(name, value)
    if dim is not None and matrix.shape[1] != dim:
        raise CollectionMismatchError(
            f"{name} has {matrix.shape[1]} columns, expected {dim}; "
            "use the encoder and mappers that the index was built with."
        )
    if matrix.shape[1] == 0:
        raise InvalidInputError(f"{name} has no columns; give feature rows of at least one dimension.")
    for start in range(0, len(matrix), _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS]
        length = np.sqrt(np.einsum("ij,ij->i", block, block))
        off = np.flatnonzero(np.abs(length - 1.0) > _UNIT_TOLERANCE)
        if off.size:
            raise InvalidInputError(
                f"{name} row {start + int(off[0])} has length {length[off[0]]:.4g}, expected 1; "
                "map features with `MapperPair.map_training` or `map_query` first."
            )
    return matrix


def bool_matrix(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return `value` as a boolean array of `shape`. Raises `InvalidInputError` for other types or shapes."""
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise InvalidInputError(f"{name} has type {array.dtype}, expected booleans.")
    if array.shape != shape:
        raise InvalidInputError(f"{name} has shape {array.shape}, expected {shape}.")
    return array


def positive(name: str, value: Any) -> float:
    """Return `value` as a finite float above zero; otherwise raise `InvalidInputError`."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} is {value!r}, expected a number above 0.") from error
    if not np.isfinite(number) or number <= 0.0:
        raise InvalidInputError(f"{name} is {number!r}, expected a finite number above 0.")
    return number


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as an int in low..high; otherwise, and for booleans, raise `InvalidInputError`."""
    limit = f"from {low} up" if high is None else f"in {low}..{high}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InvalidInputError(f"{name} is {value!r}, expected a whole number {limit}.")
    if value < low or (high is not None and value > high):
        raise InvalidInputError(f"{name} is {value}, expected a whole number {limit}.")
    return int(value)


def safe_log(values: Any) -> FloatArray:
    """Return the natural logarithm, with -inf for 0 and no warning."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values), dtype=np.float64)


def log_sum(values: FloatArray) -> FloatArray:
    """Return the log of the sum of exp over each row of (q, m), as (q,); -inf for an empty or all -inf row."""
    peak = np.max(values, axis=1, initial=-np.inf, keepdims=True)
    safe = np.where(np.isfinite(peak), peak, 0.0)
    return np.asarray(safe_log(np.exp(values - safe).sum(axis=1)) + safe[:, 0])


def _numeric(name: str, value: ArrayLike) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidInputError(f"{name} cannot be read as an array ({error}).") from error
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"{name} has type {array.dtype}, expected real numbers.")
    return array
