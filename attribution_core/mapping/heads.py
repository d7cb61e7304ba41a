"""Heads of the paper's released mappers, by the keys of its code, as the arrays that a head here is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-5  # of torch's batch normalisation
_LINEAR, _CHANNEL = {"weight", "bias"}, {"weights"}
_STATISTICS = ("running_mean", "running_var")
_MLP = {"0.weight", "1.weight", "1.bias", "4.weight", *(f"{n}.{s}" for n in (1, 5) for s in _STATISTICS)}


def head_arrays(part: Any) -> dict[str, NDArray[np.float32]]:
    """Arrays of a linear head {weight, bias}, a channel head {weights} or an MLP {0.weight, 1.*, 4.weight, 5.*}.

    part: state dict of one mapper. An MLP is linear without bias, batch normalisation, ReLU, dropout, linear, batch
    normalisation; both normalisations use what they learned, as in use, and are folded into the layers before them.
    Raises `TypeError` or `KeyError` for anything else.
    """
    if not isinstance(part, Mapping):
        raise TypeError(f"{type(part).__name__} where a dict was expected")
    values = {
        str(k): np.asarray(v.float().numpy())
        for k, v in part.items()
        if not str(k).endswith("batches_tracked")
    }
    if set(values) == _CHANNEL:
        scale = values["weights"].reshape(-1)
        return {"weight": scale, "bias": np.zeros_like(scale)}
    if set(values) == _MLP:
        hidden, hidden_bias = _folded(values, "0.weight", "1.", values["1.weight"], values["1.bias"])
        weight, bias = _folded(values, "4.weight", "5.", np.float32(1), np.float32(0))
        return {"weight": weight, "bias": bias, "hidden_weight": hidden, "hidden_bias": hidden_bias}
    if lacking := _LINEAR - set(values):
        raise KeyError(f"no {', '.join(sorted(lacking))}, but {', '.join(sorted(values)) or 'nothing'}")
    return {name: values[name] for name in ("weight", "bias")}


def _folded(
    values: Mapping[str, NDArray[np.float32]], layer: str, after: str, gain: Any, shift: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean, variance = (values[after + name].astype(np.float64) for name in _STATISTICS)
    factor = gain / np.sqrt(variance + _EPSILON)
    return ((values[layer] * factor[:, None]).astype(np.float32), (shift - mean * factor).astype(np.float32))
