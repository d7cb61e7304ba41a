"""Weights as integers of few bits; further training removes the rounding errors."""

from __future__ import annotations

from collections.abc import Mapping

import torch

_SCALE = ".scale"


def quantize(
    weights: Mapping[str, torch.Tensor], bits: int = 8, group: int | None = None
) -> dict[str, torch.Tensor]:
    """Quantize matrices and kernels to integers of `bits` bits, at most 16, others to float16.

    group: numbers that share one scale; by default a row of the first axis.
    """
    largest = 2 ** (bits - 1) - 1
    small: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            small[name] = weight.half()
            continue
        rows = weight.float().reshape(-1, group) if group else weight.float().flatten(1)
        scale = (rows.abs().amax(1) / largest).clamp(min=1e-12)
        levels = (rows / scale[:, None]).round().to(torch.int8 if bits <= 8 else torch.int16)
        small[name], small[name + _SCALE] = levels.view(weight.shape).contiguous(), scale
    return small


def dequantize(small: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Restore float32 weights, each within half a quantization step of the original."""
    weights = {}
    for name, value in small.items():
        scale = small.get(name + _SCALE)
        if scale is not None:
            weights[name] = (value.float().view(len(scale), -1) * scale[:, None]).view(value.shape)
        elif not name.endswith(_SCALE):
            weights[name] = value.float()
    return weights
