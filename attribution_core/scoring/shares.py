"""Influence shares of search results, with certified intervals."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import FloatArray, float_matrix, log_sum, positive
from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import LogSum, Rest, RestKind

_BIAS_UNIT = 0.001


@dataclass(frozen=True, eq=False)
class Shares:
    """Estimated influences of q queries; along a row, influence and rest sum to 1.

    Attributes:
        influence: (q, k) of the listed images, in [0, 1].
        low: (q, k) lower end of the influence.
        high: (q, k) upper end of the influence.
        rest: (q,) the tail mass: the influence of all unlisted images.
        rest_low: (q,) lower end of the rest.
        rest_high: (q,) upper end of the rest.
        uncalibrated: (q, k) plain softmax over similarities, temperature 1.
        rest_uncalibrated: (q,) the rest under the plain softmax.
        kind: "exact" if the intervals are certain, "sampled" if they hold with 99 % confidence.
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


@dataclass(frozen=True)
class Scale:
    """The softmax temperature, and the bias of the paper's released form, that turn similarities into influences.

    Raises `InvalidInputError` unless the temperature is a finite number above 0.
    """

    temperature: float
    bias: float | None = None

    def __post_init__(self) -> None:
        """Check the temperature."""
        object.__setattr__(self, "temperature", positive("temperature", self.temperature))

    def score(self, hits: Hits) -> Shares:
        """Return the influences of hits and rest, with intervals. Raises as `shares_at` does."""
        return shares_at(hits.similarity, hits.rest, self.temperature, self.bias)


def shares_at(similarity: NDArray[Any], rest: Rest, temperature: float, bias: float | None = None) -> Shares:
    """Turn similarities into influences that sum to 1.

    Args:
        similarity: (q, k) of the listed images; with `bias`, the highest of all must be among them.
        rest: The unlisted images.
        temperature: Softmax temperature above 0, in units of similarity.
        bias: None for the softmax; a number for the form in the paper's released code,
            relu(exp((similarity - highest) / temperature) + bias / 1000), normalised.

    Raises:
        InvalidInputError: The temperature is not above 0, shapes differ, or the bias leaves nothing above 0.
    """
    values = float_matrix("similarity", similarity, np.float64)
    t = positive("temperature", temperature)
    if len(values) != len(rest):
        raise InvalidInputError(f"similarity has {len(values)} queries and the rest {len(rest)}.")
    if values.shape[1] == 0:
        raise InvalidInputError("no image is listed; give at least one similarity per query.")
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
            f"bias is {bias:g}, expected above {-1 / _BIAS_UNIT:g}; otherwise every influence is 0."
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
