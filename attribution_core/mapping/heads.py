"""Mapper heads, and how to read the heads of the paper's released mappers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import float_matrix
from attribution_core.common.tensors import float_rows
from attribution_core.errors import InvalidInputError


class MapperKind(StrEnum):
    """The form of a head."""

    IDENTITY = "identity"
    LINEAR = "linear"
    CHANNEL = "channel"
    MLP = "mlp"


@dataclass(frozen=True, eq=False)
class Head:
    """x -> weight @ x + bias; with a hidden layer, x -> weight @ relu(hidden_weight @ x + hidden_bias) + bias.

    Attributes:
        weight: (m, d) float32, or (m, h) after a hidden layer; (d,) scales each of d channels.
        bias: (m,) float32.
        hidden_weight: (h, d) float32 or None.
        hidden_bias: (h,) float32 or None.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    hidden_weight: NDArray[np.float32] | None = None
    hidden_bias: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Check shapes and values."""
        scales = np.ndim(self.weight) == 1
        weight = float_matrix("weight", np.atleast_2d(np.asarray(self.weight)))
        bias = float_matrix("bias", np.atleast_2d(np.asarray(self.bias)))[0]
        if bias.shape != (weight.shape[1 if scales else 0],) or 0 in weight.shape:
            raise InvalidInputError(
                f"weight has shape {np.shape(self.weight)} and bias {np.shape(self.bias)}, expected (m, d) and (m,)."
            )
        object.__setattr__(self, "weight", weight[0] if scales else weight)
        object.__setattr__(self, "bias", bias)
        if (self.hidden_weight is None) != (self.hidden_bias is None):
            raise InvalidInputError("a hidden layer needs both hidden_weight and hidden_bias.")
        if self.hidden_weight is not None and self.hidden_bias is not None:
            hidden = Head(self.hidden_weight, self.hidden_bias)
            if scales or hidden.weight.ndim != 2 or weight.shape[1] != hidden.out_dim:
                raise InvalidInputError(
                    f"hidden_weight has shape {hidden.weight.shape} and weight {np.shape(self.weight)}, expected "
                    "(h, d) and (m, h)."
                )
            object.__setattr__(self, "hidden_weight", hidden.weight)
            object.__setattr__(self, "hidden_bias", hidden.bias)

    @property
    def dim(self) -> int:
        """Number of input columns."""
        return int((self.weight if self.hidden_weight is None else self.hidden_weight).shape[-1])

    @property
    def out_dim(self) -> int:
        """Number of output columns."""
        return int(self.bias.shape[0])

    @property
    def kind(self) -> MapperKind:
        """The form, as its arrays imply."""
        if self.hidden_weight is not None:
            return MapperKind.MLP
        return MapperKind.CHANNEL if self.weight.ndim == 1 else MapperKind.LINEAR

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, d) float32 rows to (n, m)."""
        if self.hidden_weight is not None and self.hidden_bias is not None:
            rows = np.maximum(rows @ self.hidden_weight.T + self.hidden_bias, 0)
        return np.asarray((rows * self.weight if self.weight.ndim == 1 else rows @ self.weight.T) + self.bias)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return all arrays by name, as they are stored."""
        return {name: value for name, value in vars(self).items() if value is not None}


_EPSILON = 1e-5  # the default of torch's batch normalisation
_LINEAR, _CHANNEL = {"weight", "bias"}, {"weights"}
_STATISTICS = ("running_mean", "running_var")
_MLP = {"0.weight", "1.weight", "1.bias", "4.weight", *(f"{n}.{s}" for n in (1, 5) for s in _STATISTICS)}


def head_arrays(part: Any) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a linear head {weight, bias}, channel head {weights} or MLP {0.weight, 1.*, 4.weight, 5.*}.

    part: state dict of one mapper. An MLP is a linear layer without bias, batch normalisation, ReLU, dropout, a linear
    layer, and batch normalisation; both normalisations are folded, with their running statistics, into the layers
    before them. Raises `TypeError` or `KeyError` for anything else.
    """
    if not isinstance(part, Mapping):
        raise TypeError(f"expected a dict, found {type(part).__name__}")
    values = {str(k): float_rows(v) for k, v in part.items() if not str(k).endswith("batches_tracked")}
    if set(values) == _CHANNEL:
        scale = values["weights"].reshape(-1)
        return {"weight": scale, "bias": np.zeros_like(scale)}
    if set(values) == _MLP:
        hidden, hidden_bias = _fold(values, "0.weight", "1.", values["1.weight"], values["1.bias"])
        weight, bias = _fold(values, "4.weight", "5.", np.float32(1), np.float32(0))
        return {"weight": weight, "bias": bias, "hidden_weight": hidden, "hidden_bias": hidden_bias}
    if lacking := _LINEAR - set(values):
        raise KeyError(f"no {', '.join(sorted(lacking))}, but {', '.join(sorted(values)) or 'nothing'}")
    return {name: values[name] for name in ("weight", "bias")}


def _fold(
    values: Mapping[str, NDArray[np.float32]], layer: str, after: str, gain: Any, shift: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean, variance = (values[after + name].astype(np.float64) for name in _STATISTICS)
    factor = gain / np.sqrt(variance + _EPSILON)
    return ((values[layer] * factor[:, None]).astype(np.float32), (shift - mean * factor).astype(np.float32))
