"""The tuning loop of Custom Diffusion, for one subject or several at once.

Every subject has its own weights, token, noise and gradient; subjects only share passes through the network, since
small batches would leave the hardware half idle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution_core.errors import InvalidInputError
from attribution_core.generation.tuning.pipeline_edits import TOKEN, initial_row, many_weights, new_token
from attribution_core.generation.tuning.views import Exemplars, draw_views

if TYPE_CHECKING:
    import torch
    from PIL import Image

OBJECT_CAPTIONS = ("{token} {category}",)
STYLE_CAPTIONS = ("{category} in the style of {token} art",)
# Small networks trained from scratch need a learning rate that would destroy a large pretrained one.
_SMALL_NETWORK, _SMALL_RATE, _LARGE_RATE = 100_000_000, 1e-3, 1e-5


@dataclass(frozen=True)
class Subject:
    """One object or style to learn. images: RGB exemplars. category: words for them; the last initialises the token.

    captions: templates with {token} and {category}. names: if the images show different things in one style, words
    for each image, which replace the category in its captions. seed: of views, captions and noise.
    """

    images: Sequence[Image.Image] = field(repr=False)
    category: str
    captions: Sequence[str] = OBJECT_CAPTIONS
    names: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `InvalidInputError` for invalid values."""
        if not self.images:
            raise InvalidInputError("customize needs at least one image, given none.")
        if not self.category.strip():
            raise InvalidInputError("customize needs a category: words for what the images show.")
        if self.seed < 0:
            raise InvalidInputError(f"seed must be at least 0, given {self.seed}.")
        if not self.captions or any("{token}" not in c for c in self.captions):
            raise InvalidInputError(
                "captions must be templates with {token} (and usually {category}), "
                f"given {list(self.captions)}."
            )
        if self.names and len(self.names) != len(self.images):
            raise InvalidInputError(
                f"names must have one for each image, given {len(self.names)} for {len(self.images)} images."
            )


@dataclass(frozen=True)
class TuningSettings:
    """Settings of a tuning; see `customize`. learning_rate: None chooses by the network's size.

    scattered: use smaller views at random positions instead of Custom Diffusion's (see `draw_views`).
    """

    steps: int = 125
    batch_size: int = 8
    learning_rate: float | None = None
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    views: int = 64
    precision: str = "float32"
    scattered: bool = False

    def __post_init__(self) -> None:
        """Raise an `InvalidInputError` that names the first value out of range."""
        for name in ("steps", "batch_size", "views"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1, given {getattr(self, name)}.")
        if self.learning_rate is not None and not 0 < self.learning_rate < 1:
            raise InvalidInputError(f"learning_rate must be between 0 and 1, given {self.learning_rate}.")
        if self.precision not in ("float32", "bfloat16"):
            raise InvalidInputError(f"precision must be 'float32' or 'bfloat16', given '{self.precision}'.")


DEFAULTS = TuningSettings()


@dataclass(frozen=True)
class TuningStep:
    """Progress of a tuning: step, from 1 to total, and the mean squared error of this step."""

    step: int
    total: int
    loss: float


@dataclass(frozen=True)
class TunedWeights:
    """Changes tuned on one subject. deltas: float16 difference of each K/V weight, by name. token_row: (d,) float16.

    losses: (steps,) float32.
    """

    deltas: Mapping[str, np.ndarray] = field(repr=False)
    token_row: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)


def tune(
    pipeline: Any,
    subjects: Sequence[Subject],
    settings: TuningSettings,
    on_step: Callable[[TuningStep], None] | None = None,
) -> tuple[list[TunedWeights], TuningSettings]:
    """Tune copies of the pipeline's K/V weights and a token for each subject; the pipeline is unchanged afterwards.

    Returns the changes for each subject, and the settings with the learning rate used. Raises `InvalidInputError`
    if a subject has more images than views.
    """
    import torch

    most = max(len(subject.images) for subject in subjects)
    if settings.views < most:
        raise InvalidInputError(f"views must be at least {most}, one for each image, given {settings.views}.")
    if settings.learning_rate is None:
        small = sum(p.numel() for p in pipeline.unet.parameters()) < _SMALL_NETWORK
        settings = replace(settings, learning_rate=_SMALL_RATE if small else _LARGE_RATE)
    samplers = [_Sampler(pipeline, subject, settings) for subject in subjects]
    rows = torch.stack([initial_row(pipeline, subject.category) for subject in subjects]).requires_grad_(True)
    losses = np.zeros((len(subjects), settings.steps), dtype=np.float32)
    with new_token(pipeline, rows), many_weights(pipeline.unet, len(subjects)) as weights:
        before = {name: weight.detach()[0].clone() for name, weight in weights.items()}
        parameters = [*weights.values(), rows]
        optimizer = torch.optim.AdamW(
            parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        for step in range(settings.steps):
            with torch.autocast(rows.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                loss = _losses(pipeline, samplers)
            optimizer.zero_grad(set_to_none=True)
            loss.sum().backward()
            _clip(parameters, settings.max_grad_norm)
            optimizer.step()
            losses[:, step] = loss.detach().cpu().numpy()
            if on_step is not None:
                on_step(TuningStep(step + 1, settings.steps, float(losses[:, step].mean())))
        deltas = {n: (w.detach() - before[n]).half().cpu().numpy() for n, w in weights.items()}
    results = [
        TunedWeights({n: d[k] for n, d in deltas.items()}, rows[k].detach().half().cpu().numpy(), losses[k])
        for k in range(len(subjects))
    ]
    return results, settings


def prompt_for(template: str, category: str, token: str = TOKEN) -> str:
    """Fill {token} and {category} into a template; an empty token gives the prompt for the untuned generator."""
    return " ".join(template.replace("{token}", token).replace("{category}", category).split())


@dataclass(frozen=True)
class _Batch:
    """One subject's batch for one step. clean, noise: (b, c, h, h); mask: (b, h, h); times: (b,)."""

    prompt: str
    clean: torch.Tensor
    mask: torch.Tensor
    noise: torch.Tensor
    times: torch.Tensor


class _Sampler:
    """Draws one subject's views, captions and noise from its own seed, independently of other subjects."""

    def __init__(self, pipeline: Any, subject: Subject, settings: TuningSettings) -> None:
        import torch

        self._subject, self._batch_size = subject, settings.batch_size
        self._rng = np.random.default_rng(subject.seed)
        self._noise = torch.Generator("cpu").manual_seed(subject.seed)
        self._span = pipeline.scheduler.config.num_train_timesteps
        self._views = _encode(pipeline, subject.images, settings, self._rng, self._noise)
        shown = (
            [k % len(subject.images) for k in range(settings.views)]
            if subject.names
            else [0] * settings.views
        )
        self._groups = list(zip(self._views.prefixes, shown, strict=True))

    def draw(self) -> _Batch:
        import torch

        # All views of a step share one prompt, so that only one text is encoded.
        group = self._groups[self._rng.integers(len(self._groups))]
        members = np.flatnonzero([other == group for other in self._groups])
        index = self._rng.choice(members, size=self._batch_size)
        index = torch.from_numpy(index).to(self._views.latents.device)
        caption = self._subject.captions[int(self._rng.integers(len(self._subject.captions)))]
        name = self._subject.names[group[1]] if self._subject.names else self._subject.category
        clean = self._views.latents[index]
        noise = torch.randn(clean.shape, generator=self._noise).to(clean)
        # Stratified timesteps: the same mean as independent draws, but less variance.
        size = self._batch_size
        fractions = (torch.arange(size) + torch.rand(size, generator=self._noise)) / size
        times = (fractions * self._span).long().to(clean.device)
        return _Batch(group[0] + prompt_for(caption, name), clean, self._views.masks[index], noise, times)


def _encode(
    pipeline: Any,
    images: Sequence[Image.Image],
    settings: TuningSettings,
    rng: np.random.Generator,
    noise: torch.Generator,
) -> Exemplars:
    import torch

    factor = pipeline.vae_scale_factor
    side = pipeline.unet.config.sample_size * factor
    views = draw_views(images, settings.views, side, factor, rng, settings.scattered)
    latents = []
    with torch.no_grad():
        for start in range(0, settings.views, 16):
            pixels = torch.from_numpy(views.pixels[start : start + 16]).to(pipeline.device)
            code = pipeline.vae.encode(pixels)
            latents.append(code.latents if hasattr(code, "latents") else code.latent_dist.sample(noise))
    return Exemplars(
        torch.cat(latents) * pipeline.vae.config.scaling_factor,
        torch.from_numpy(views.masks).to(pipeline.device),
        views.prefixes,
    )


def _losses(pipeline: Any, samplers: Sequence[_Sampler]) -> torch.Tensor:
    """Return the (n,) loss of each subject in this step."""
    import torch

    scheduler, batches = pipeline.scheduler, [sampler.draw() for sampler in samplers]
    clean, mask, noise, times = (
        torch.cat([getattr(batch, name) for batch in batches]) for name in ("clean", "mask", "noise", "times")
    )
    states = pipeline.encode_prompt([batch.prompt for batch in batches], pipeline.device, 1, False)[0]
    noisy, target = noised(scheduler, clean, noise, times)
    each = len(clean) // len(samplers)
    predicted = pipeline.unet(
        noisy, times, encoder_hidden_states=states.repeat_interleave(each, 0)
    ).sample.float()
    return masked_mean((predicted - target).square(), mask).reshape(len(samplers), each).mean(1)


def noised(
    scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the UNet's noisy input and its target, both shaped like clean, (n, c, h, h). times: (n,) timesteps."""
    alpha = scheduler.alphas_cumprod.to(clean)[times][:, None, None, None]
    target = {
        "epsilon": noise,
        "sample": clean,
        "v_prediction": alpha.sqrt() * noise - (1 - alpha).sqrt() * clean,
    }[scheduler.config.prediction_type]
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise, target


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average each sample within its mask: (n,). values: (n, c, h, w). mask: (n, h, w) of 0 and 1."""
    weight = mask[:, None].expand_as(values)
    return (values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def _clip(parameters: Sequence[torch.Tensor], max_norm: float) -> None:
    """Clip each subject's gradient norm separately."""
    import torch

    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(scale.reshape(-1, *[1] * (gradient.ndim - 1)))
