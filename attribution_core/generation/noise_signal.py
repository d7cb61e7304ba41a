"""How strongly the text steers each step of a generation, a signal that is high for memorized prompts.

Source: *Detecting, Explaining, and Mitigating Memorization in Diffusion Models* (Wen, Liu, Chen and Lyu, ICLR 2024):
the mean over steps of the norm of the difference between the noise predicted with and without the text. Guidance
computes both at every step anyway, so the signal costs almost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NoiseSignal:
    """The signal of one image. steps: norm of the difference of the two noise predictions, per network call."""

    steps: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The signal: the mean over steps."""
        return sum(self.steps) / len(self.steps)


@contextmanager
def tap_noise_signal(pipeline: Any, images: int) -> Iterator[list[torch.Tensor]]:
    """Yield a list that collects the (images,) norms of every call of the pipeline's network.

    images: number of images per batch. Calls without guidance, whose batch is not twice that size, add nothing; nor do
    pipelines without a UNet, for which the signal is not defined.
    """
    norms: list[torch.Tensor] = []
    scheduler, network = pipeline.scheduler, getattr(pipeline, "unet", None)
    if network is None:
        yield norms
        return

    def record(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        prediction = output[0]
        if len(prediction) != 2 * images:
            return
        timestep = args[1] if len(args) > 1 else kwargs["timestep"]
        unconditional, conditional = prediction.float().chunk(2)
        difference = (conditional - unconditional).flatten(1).norm(dim=1)
        norms.append(difference * noise_per_prediction(scheduler, timestep))

    handle = network.register_forward_hook(record, with_kwargs=True)
    try:
        yield norms
    finally:
        handle.remove()


def noise_per_prediction(scheduler: Any, timestep: Any) -> float:
    """Return the change in predicted noise per unit change of the prediction, for a variance-preserving scheduler.

    "epsilon": 1. "v_prediction": sqrt(a), from v = sqrt(a) noise - sqrt(1 - a) x0. "sample": sqrt(a / (1 - a)). Here a
    is the signal's share of the variance at that timestep.
    """
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return 1.0
    alpha = float(scheduler.alphas_cumprod[int(timestep)])
    return alpha**0.5 if kind == "v_prediction" else (alpha / max(1.0 - alpha, 1e-8)) ** 0.5


def signals_of(norms: list[torch.Tensor], images: int) -> list[NoiseSignal | None]:
    """Return one signal per image from the norms of `tap_noise_signal`; None for each if there are none."""
    if not norms:
        return [None] * images
    import torch

    table = torch.stack(norms, dim=1).cpu().tolist()
    return [NoiseSignal(tuple(row)) for row in table]
