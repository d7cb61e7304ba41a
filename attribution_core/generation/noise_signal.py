"""How strongly the words pull on each step of a generation: the signal by which memorized prompts stand out.

Source: *Detecting, Explaining, and Mitigating Memorization in Diffusion Models* (Wen, Liu, Chen and Lyu, ICLR 2024):
the mean over steps of the norm of the difference between the noise predicted with and without the text. Guidance
computes both for every step, so that reading the network's output along the way costs next to nothing.
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
    """steps: for each call of the network, first to last, the norm of the difference of the two noise predictions."""

    steps: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The signal: the mean over steps."""
        return sum(self.steps) / len(self.steps)


@contextmanager
def tap_noise_signal(pipeline: Any, images: int) -> Iterator[list[torch.Tensor]]:
    """Collect (images,) norms of every call of the pipeline's network in the yielded list.

    images: how many are made at a time. Calls whose batch is not twice as large, without guidance, are left out, so
    that the list stays empty then; so it does of pipelines without a UNet, of which the signal is not known.
    """
    kept: list[torch.Tensor] = []
    scheduler, network = pipeline.scheduler, getattr(pipeline, "unet", None)
    if network is None:
        yield kept
        return

    def read(module: Any, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        prediction = output[0]
        if len(prediction) != 2 * images:
            return
        timestep = given[1] if len(given) > 1 else named["timestep"]
        plain, told = prediction.float().chunk(2)
        kept.append((told - plain).flatten(1).norm(dim=1) * noise_per_prediction(scheduler, timestep))

    handle = network.register_forward_hook(read, with_kwargs=True)
    try:
        yield kept
    finally:
        handle.remove()


def noise_per_prediction(scheduler: Any, timestep: Any) -> float:
    """By how much the predicted noise differs where the prediction differs by 1, of a variance-preserving scheduler.

    1 for "epsilon". v = sqrt(a) noise - sqrt(1 - a) x0 gives sqrt(a) for "v_prediction", and "sample" gives
    sqrt(a / (1 - a)), with a the signal's share of the variance at that timestep.
    """
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return 1.0
    alpha = float(scheduler.alphas_cumprod[int(timestep)])
    return alpha**0.5 if kind == "v_prediction" else (alpha / max(1.0 - alpha, 1e-8)) ** 0.5


def signals_of(kept: list[torch.Tensor], images: int) -> list[NoiseSignal | None]:
    """One signal for each image; None where nothing was collected."""
    if not kept:
        return [None] * images
    import torch

    table = torch.stack(kept, dim=1).cpu().tolist()
    return [NoiseSignal(tuple(row)) for row in table]
