"""Attribution by unlearning: make the generator forget an image, and measure which training images it forgets too.

Source: Wang, Hertzmann, Efros, Zhu and Zhang, NeurIPS 2024 (arXiv 2406.09408). The loss on the image in question is
raised by a few gradient steps on the UNet's cross-attention key and value projections; a training image is as
influential as its own loss rises. Here the steps are plain gradient ascent, without that paper's regulariser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from attribution_core.common.arrays import positive, whole
from attribution_core.common.progress import OnProgress, ProgressReporter
from attribution_core.errors import InvalidInputError
from attribution_core.generation.tuning.loop import noised
from attribution_core.generation.tuning.pipeline_edits import key_value_weights, restore

if TYPE_CHECKING:
    import torch

    from attribution_core.generation.generator import Generator

BEFORE, FORGET, AFTER = "losses before", "forgetting the image", "losses after"
_IMAGES_AT_ONCE = 8
_TEXTS_AT_ONCE = 32
_BACKWARD = 3  # a step with gradients takes about as long as three without


@dataclass(frozen=True)
class UnlearningSettings:
    """Settings of the gradient ascent and of the loss estimates.

    steps: of gradient ascent. rate: norm of a step over that of all tuned weights together, in (0, 1]. batch_size:
    pairs of noise and timestep in a step. draws: pairs that each image's loss is averaged over, the same for all
    images, before and after. seed: of all noise.
    """

    steps: int = 8
    rate: float = 0.002
    batch_size: int = 16
    draws: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Check all values. Raises `InvalidInputError` that names the first one out of range."""
        for name in ("steps", "batch_size", "draws"):
            whole(name, getattr(self, name), 1, 1000)
        whole("seed", self.seed, 0)
        if positive("rate", self.rate) > 1:
            raise InvalidInputError(
                f"rate is {self.rate}, expected a part of the weights' length, at most 1."
            )


@dataclass(frozen=True, eq=False)
class LossChanges:
    """Losses of other images before and after an image was forgotten.

    before, after: (n,) loss of each of the others, a mean squared error. query_before, query_after: of the image.
    """

    before: NDArray[np.float64] = field(repr=False)
    after: NDArray[np.float64] = field(repr=False)
    query_before: float = 0.0
    query_after: float = 0.0

    @property
    def change(self) -> NDArray[np.float64]:
        """(n,) increase of each loss."""
        return self.after - self.before

    @property
    def took(self) -> bool:
        """Whether the image was forgotten, so that its own loss rose; if not, the other changes mean nothing."""
        return self.query_after > self.query_before


DEFAULTS = UnlearningSettings()


def loss_changes(
    generator: Generator,
    image: Image.Image,
    prompt: str,
    images: Sequence[Image.Image],
    captions: Sequence[str],
    settings: UnlearningSettings = DEFAULTS,
    on_step: OnProgress | None = None,
) -> LossChanges:
    """Forget an image and measure how much the losses of others rise; the generator is restored afterwards.

    Args:
        generator: What made the image; other threads wait for it meanwhile.
        image: The image to forget, RGB.
        prompt: What it was made from.
        images: The others, training images mostly.
        captions: One for each of them.
        settings: See there.
        on_step: Progress; what it raises ends the work, is passed on, and leaves the generator as it was.

    Raises:
        InvalidInputError: There are no images, or not one caption for each.
        AttributionError: The generator has no cross-attention.
    """
    if not images or len(images) != len(captions):
        raise InvalidInputError(
            f"unlearning needs images and one caption for each, given {len(images)} images and "
            f"{len(captions)} captions."
        )
    if not prompt.strip():
        raise InvalidInputError("unlearning needs the prompt that the image was made from, given none.")
    total = 2 * (len(images) + 1) * settings.draws + _BACKWARD * settings.steps * settings.batch_size
    progress = ProgressReporter(BEFORE, total, on_step)
    with generator.lock:
        pipeline = generator.tunable
        probe = LossProbe(pipeline, settings)
        clean, states = latents(pipeline, [image, *images]), _states(pipeline, [prompt, *captions])
        before = probe.losses(clean, states, progress)
        with forgotten(pipeline, clean[:1], states[:1], settings, progress):
            progress.stage = AFTER
            after = probe.losses(clean, states, progress)
    return LossChanges(before[1:], after[1:], float(before[0]), float(after[0]))


@contextmanager
def forgotten(
    pipeline: Any,
    clean: torch.Tensor,
    states: torch.Tensor,
    settings: UnlearningSettings,
    progress: ProgressReporter,
) -> Iterator[None]:
    """A context in which the pipeline has forgotten one image; its weights are restored bit by bit.

    clean: (1, c, h, h) its latents. states: (1, t, d) its prompt. The generator's lock must be held.
    """
    import torch

    weights = key_value_weights(pipeline.unet)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    length = settings.rate * float(torch.stack([w.square().sum() for w in before.values()]).sum().sqrt())
    drawing = torch.Generator("cpu").manual_seed(settings.seed + 1)
    progress.stage = FORGET
    try:
        for weight in weights.values():
            weight.requires_grad_(True)
        for _ in range(settings.steps):
            noise, times = _drawn(pipeline, settings.batch_size, drawing, clean)
            with torch.enable_grad():
                loss = _losses(
                    pipeline,
                    clean.expand(len(noise), -1, -1, -1),
                    states.expand(len(noise), -1, -1),
                    noise,
                    times,
                ).mean()
                gradients = torch.autograd.grad(loss, list(weights.values()))
            norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
            with torch.no_grad():
                for weight, gradient in zip(weights.values(), gradients, strict=True):
                    weight.add_(gradient * (length / (norm + 1e-12)))
            progress.add(_BACKWARD * settings.batch_size)
        for weight in weights.values():
            weight.requires_grad_(False)
        yield
    finally:
        restore(weights, before)


def latents(pipeline: Any, images: Sequence[Image.Image]) -> torch.Tensor:
    """(n, c, h, h) scaled latents of the images' centre squares."""
    import torch

    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    codes = []
    with torch.no_grad():
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            fitted = [
                ImageOps.fit(i.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
                for i in images[start : start + _IMAGES_AT_ONCE]
            ]
            pixels = (
                np.stack([np.asarray(i, dtype=np.float32) for i in fitted]).transpose(0, 3, 1, 2) / 127.5 - 1
            )
            code = pipeline.vae.encode(torch.from_numpy(np.ascontiguousarray(pixels)).to(pipeline.device))
            codes.append(code.latents if hasattr(code, "latents") else code.latent_dist.mode())
        return torch.cat(codes) * pipeline.vae.config.scaling_factor


class LossProbe:
    """Loss estimates with the same noise and timesteps for every image, before and after."""

    def __init__(self, pipeline: Any, settings: UnlearningSettings) -> None:
        import torch

        config, drawing = pipeline.unet.config, torch.Generator("cpu").manual_seed(settings.seed)
        like = torch.zeros(
            1, config.in_channels, config.sample_size, config.sample_size, device=pipeline.device
        )
        self._pipeline, self._draws = pipeline, settings.draws
        self._noise, self._times = _drawn(pipeline, settings.draws, drawing, like)

    def losses(
        self, clean: torch.Tensor, states: torch.Tensor, progress: ProgressReporter
    ) -> NDArray[np.float64]:
        """(n,) loss of each image, the mean over the draws."""
        import torch

        means = []
        with torch.no_grad():
            for start in range(0, len(clean), _IMAGES_AT_ONCE):
                chunk = slice(start, start + _IMAGES_AT_ONCE)
                here, words = (part[chunk].repeat_interleave(self._draws, 0) for part in (clean, states))
                count = len(here) // self._draws
                loss = _losses(
                    self._pipeline, here, words, self._noise.repeat(count, 1, 1, 1), self._times.repeat(count)
                )
                means.append(loss.reshape(count, self._draws).double().mean(1))
                progress.add(len(here))
        return np.asarray(torch.cat(means).cpu().numpy())


def _drawn(
    pipeline: Any, count: int, drawing: torch.Generator, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(count, c, h, h) noise and (count,) timesteps, one from each of `count` equal spans."""
    import torch

    noise = torch.randn((count, *like.shape[1:]), generator=drawing).to(like)
    spans = (torch.arange(count) + torch.rand(count, generator=drawing)) / count
    return noise, (spans * pipeline.scheduler.config.num_train_timesteps).long().to(like.device)


def _losses(
    pipeline: Any, clean: torch.Tensor, states: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    noisy, target = noised(pipeline.scheduler, clean, noise, times)
    predicted = pipeline.unet(noisy, times, encoder_hidden_states=states).sample.float()
    return (predicted - target).square().mean((1, 2, 3))


def _states(pipeline: Any, texts: Sequence[str]) -> torch.Tensor:
    """(n, t, d) text embeddings."""
    import torch

    with torch.no_grad():
        return torch.cat(
            [
                pipeline.encode_prompt(list(texts[k : k + _TEXTS_AT_ONCE]), pipeline.device, 1, False)[0]
                for k in range(0, len(texts), _TEXTS_AT_ONCE)
            ]
        )
