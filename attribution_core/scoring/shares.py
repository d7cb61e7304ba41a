"""Hits of a search, and their shares of influence with certified intervals."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import float_matrix, positive
from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.rest import LogSum, Rest, RestKind, log_sum
from attribution_core.retrieval.sampled_sum import FloatArray

_BIAS_UNIT = 0.001


@dataclass(frozen=True, eq=False)
class Hits:
    """The listed training images of q queries, and what is known of all others.

    Attributes:
        ids: (q, k) int64 positions in the training set.
        similarity: (q, k) float32 in [-1, 1], descending along a row.
        rest: The images that are not listed, for the same q queries.

    Raises:
        InvalidInputError: Shapes differ, ids are negative, or similarities are not finite and descending.
    """

    ids: NDArray[np.int64]
    similarity: NDArray[np.float32]
    rest: Rest

    def __post_init__(self) -> None:
        """Check the parts against each other."""
        similarity = float_matrix("similarity", self.similarity)
        ids = np.asarray(self.ids)
        if ids.shape != similarity.shape or ids.dtype.kind not in "iu" or len(self.rest) != len(ids):
            raise InvalidInputError(
                f"ids {ids.shape} of {ids.dtype}, similarity {similarity.shape} and a rest of "
                f"{len(self.rest)} queries do not fit; expected (q, k) whole numbers, (q, k) and q."
            )
        if similarity.shape[1] == 0:
            raise InvalidInputError("no image is listed; search with top of 1 or more.")
        if (ids < 0).any():
            raise InvalidInputError("ids hold a negative position, expected positions in the training set.")
        if (np.diff(similarity, axis=1) > 0).any():
            raise InvalidInputError("similarity rises along a row, expected descending order.")
        object.__setattr__(self, "ids", ids.astype(np.int64, copy=False))
        object.__setattr__(self, "similarity", similarity)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Shares:
    """Estimated influences of q queries; along a row, influence and rest sum to 1.

    Attributes:
        influence: (q, k) in [0, 1], of the listed images.
        low: (q, k) the influence is at least this.
        high: (q, k) the influence is at most this.
        rest: (q,) the influence of all images that are not listed.
        rest_low: (q,) lower end of the rest.
        rest_high: (q,) upper end of the rest.
        uncalibrated: (q, k) plain softmax over similarities, temperature 1.
        rest_uncalibrated: (q,) the rest in the plain softmax.
        kind: "exact" where the intervals are certain, "sampled" where they hold with 99 % confidence.
    """

    influence: FloatArray
    low: FloatArray
    high: FloatArray
    rest: FloatArray
    rest_low: FloatArray
    rest_high: FloatArray
    uncalibrated: FloatArray
    rest_uncalibrated: FloatArray
    kind: RestKind = RestKind.EXACT


def shares_at(similarity: NDArray[Any], rest: Rest, temperature: float, bias: float | None = None) -> Shares:
    """Turn similarities into influences that sum to 1.

    Args:
        similarity: (q, k) of the listed images; with `bias`, the greatest of all must be among them.
        rest: What is known of the others.
        temperature: Of the softmax, above 0, in units of similarity.
        bias: None for the softmax; a number for the form of the paper's released code,
            relu(exp(similarity / temperature - greatest) + bias / 1000), normalised.

    Raises:
        InvalidInputError: The temperature is not above 0, shapes differ, or the bias leaves nothing above 0.
    """
    values = float_matrix("similarity", similarity, np.float64)
    t = positive("temperature", temperature)
    if len(values) != len(rest):
        raise InvalidInputError(f"similarity has {len(values)} queries and the rest {len(rest)}.")
    if values.shape[1] == 0:
        raise InvalidInputError("no image is listed; give at least one similarity a query.")
    plain = _split(values, rest.log_sum_exp(1.0))
    if bias is None:
        scored = _split(values / t, rest.log_sum_exp(t))
    else:
        scored = _split(*_biased(values, rest, t, bias))
    return dataclasses.replace(
        scored, uncalibrated=plain.influence, rest_uncalibrated=plain.rest, kind=rest.kind
    )


def _biased(values: FloatArray, rest: Rest, t: float, bias: float) -> tuple[FloatArray, LogSum]:
    if not np.isfinite(bias):
        raise InvalidInputError(f"bias is {bias!r}, expected a finite number or None.")
    offset = float(bias) * _BIAS_UNIT
    if 1.0 + offset <= 0.0:
        raise InvalidInputError(
            f"bias is {bias:g}, expected above {-1 / _BIAS_UNIT:g}: no influence is left."
        )
    greatest = values.max(axis=1, keepdims=True)

    def weight(similarity: FloatArray) -> FloatArray:
        return np.asarray(np.maximum(np.exp((similarity - greatest) / t) + offset, 0.0))

    with np.errstate(divide="ignore"):
        return np.log(weight(values)), rest.log_sum_convex(weight)


def _split(logits: FloatArray, rest: LogSum) -> Shares:
    top = log_sum(logits)
    least, middle, most = (np.logaddexp(top, part) for part in rest)
    influence, rest_share = np.exp(logits - middle[:, None]), np.exp(rest.estimate - middle)
    return Shares(
        influence=influence,
        low=np.exp(logits - most[:, None]),
        high=np.exp(logits - least[:, None]),
        rest=rest_share,
        rest_low=np.exp(rest.low - least),
        rest_high=np.exp(rest.high - most),
        uncalibrated=influence,
        rest_uncalibrated=rest_share,
    )
