"""Custom Diffusion: teach a generator one thing or style through its cross-attention and one new token.

Source: Kumari et al., CVPR 2023, as Wang et al., ICCV 2023 use it for add-one-in ground truth: only the
UNet's cross-attention key and value projections (`attn2.to_k`, `attn2.to_v`) and one token are tuned, without
regularisation images. What is learned is kept as differences, so that a customization is a few megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution_core.cards import atomic_path, read_card, verify_files, write_card
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.pipeline_edits import TOKEN, initial_row, key_value_weights, new_token, restore
from attribution_core.tuning_images import Exemplars, draw_views

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from attribution_core.generation import Generator

OBJECT_CAPTIONS = ("{token} {category}",)
STYLE_CAPTIONS = ("{category} in the style of {token} art",)
_FILE = "customization.safetensors"
_KIND = "customization"
# Small networks trained from scratch need a rate that would destroy a large pretrained one.
_SMALL_NETWORK, _SMALL_RATE, _LARGE_RATE = 100_000_000, 1e-3, 1e-5


@dataclass(frozen=True)
class TuningStep:
    """Progress of `customize`: step counts from 1 to total; loss is the mean squared error of this step."""

    step: int
    total: int
    loss: float


@dataclass(frozen=True)
class Customization:
    """What tuning changed. deltas: name of a K/V weight -> float16 difference; token_row: (d,) float16.

    losses: (steps,) float32. settings: how it was tuned. generator_sha256 says which generator it fits.
    """

    category: str
    generator: str
    generator_sha256: str
    deltas: Mapping[str, np.ndarray] = field(repr=False)
    token_row: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path | str) -> None:
        """Write `customization.safetensors` and `card.json`; each appears whole or not at all."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            **{f"delta.{k}": v for k, v in self.deltas.items()},
            "token_row": self.token_row,
            "losses": self.losses,
        }
        with atomic_path(folder / _FILE) as partial:
            save_file(tensors, partial)
        write_card(
            folder,
            {
                "kind": _KIND,
                "token": TOKEN,
                "category": self.category,
                "generator": self.generator,
                "generator_sha256": self.generator_sha256,
                "settings": dict(self.settings),
                "files": [_FILE],
            },
        )

    @classmethod
    def load(cls, folder: Path | str) -> Customization:
        """Read what `save` wrote. Raises `CheckpointError` where it is missing, damaged or something else."""
        from safetensors.numpy import load_file

        folder = Path(folder)
        card = read_card(folder)
        if card.get("kind") != _KIND:
            raise CheckpointError(f"'{folder}' holds '{card.get('kind')}'; expected a {_KIND}.")
        verify_files(folder)
        try:
            tensors = load_file(folder / _FILE)
            return cls(
                card["category"],
                card["generator"],
                card["generator_sha256"],
                {k.removeprefix("delta."): v for k, v in tensors.items() if k.startswith("delta.")},
                tensors["token_row"],
                tensors["losses"],
                card["settings"],
            )
        except (OSError, KeyError) as error:
            raise CheckpointError(f"'{folder}' is no whole customization ({error}); tune again.") from error


def customize(
    generator: Generator,
    images: Sequence[Image.Image],
    category: str,
    *,
    steps: int = 125,
    batch_size: int = 8,
    learning_rate: float | None = None,
    weight_decay: float = 1e-2,
    max_grad_norm: float = 1.0,
    captions: Sequence[str] = OBJECT_CAPTIONS,
    views: int = 64,
    seed: int = 0,
    precision: str = "float32",
    on_step: Callable[[TuningStep], None] | None = None,
) -> Customization:
    """Tune the generator on images of one thing or style; the generator itself is left as it was.

    images: the exemplars, RGB. category: what they show, in words; the last word starts the new token.
    learning_rate: None is 1e-3 for UNets below 100 M parameters, else 1e-5 (the method's original).
    captions: templates with {token} and {category}. views: how many flipped and resized views are drawn.
    precision: "bfloat16" computes (not stores) in bfloat16, faster where the processor has it.
    on_step: progress; what it raises ends the tuning and is passed on. The same seed gives the same result.
    Raises `InvalidInputError` for values out of range.
    """
    _check(images, category, steps, batch_size, learning_rate, captions, views, seed, precision)
    import torch

    rng, noise = np.random.default_rng(seed), torch.Generator("cpu").manual_seed(seed)
    losses = np.zeros(steps, dtype=np.float32)
    with generator.lock:
        pipeline = generator.pipeline
        weights = key_value_weights(pipeline.unet)
        if learning_rate is None:
            small = sum(p.numel() for p in pipeline.unet.parameters()) < _SMALL_NETWORK
            learning_rate = _SMALL_RATE if small else _LARGE_RATE
        exemplars = _encode(pipeline, images, views, rng, noise)
        row = initial_row(pipeline, category).clone().requires_grad_(True)
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        try:
            with new_token(pipeline, row):
                for weight in weights.values():
                    weight.requires_grad_(True)
                tuned = [*weights.values(), row]
                optimizer = torch.optim.AdamW(tuned, lr=learning_rate, weight_decay=weight_decay)
                for step in range(steps):
                    with torch.autocast(row.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                        loss = _loss(pipeline, exemplars, category, captions, batch_size, rng, noise)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(tuned, max_grad_norm)
                    optimizer.step()
                    losses[step] = loss.item()
                    if on_step is not None:
                        on_step(TuningStep(step + 1, steps, float(losses[step])))
            deltas = {n: (w.detach() - before[n]).half().cpu().numpy() for n, w in weights.items()}
        finally:
            restore(weights, before)
    settings = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "weight_decay": weight_decay,
        "max_grad_norm": max_grad_norm,
        "captions": list(captions),
        "views": views,
        "images": len(images),
        "precision": precision,
    }
    return Customization(
        category,
        generator.name,
        generator.sha256,
        deltas,
        row.detach().half().cpu().numpy(),
        losses,
        settings,
    )


@contextmanager
def customized(generator: Generator, customization: Customization) -> Iterator[Generator]:
    """Within the context the generator knows the token `TOKEN`; afterwards it is exactly as it was.

    Prompts hold the token and the category ("a red <v*> cat"). Other threads wait until the context ends.
    Raises `CollectionMismatchError` where it was tuned on another generator, `AttributionError` where
    writing it changes nothing of what the UNet computes.
    """
    import torch

    with generator.lock:
        if customization.generator_sha256 != generator.sha256:
            raise CollectionMismatchError(
                f"this customization was tuned on generator '{customization.generator}' "
                f"({customization.generator_sha256[:12]}), given '{generator.name}' "
                f"({generator.sha256[:12]}); open that generator, or tune again."
            )
        pipeline = generator.pipeline
        weights = key_value_weights(pipeline.unet)
        shapes = {name: delta.shape for name, delta in customization.deltas.items()}
        if {name: tuple(weight.shape) for name, weight in weights.items()} != shapes:
            raise CollectionMismatchError(
                "this customization does not name the generator's cross-attention "
                "weights, or in other shapes; tune again."
            )
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        row = torch.from_numpy(customization.token_row.astype(np.float32)).to(pipeline.device)
        with new_token(pipeline, row):
            probe = _probe(pipeline, customization.category)
            try:
                with torch.no_grad():
                    for name, weight in weights.items():
                        weight.add_(torch.from_numpy(customization.deltas[name]).to(weight))
                if torch.equal(probe, _probe(pipeline, customization.category)):
                    raise AttributionError(
                        "the customization changes nothing of what the UNet computes; it holds "
                        "no differences, so tune again with more steps or a higher rate."
                    )
                yield generator
            finally:
                restore(weights, before)


def prompt_for(template: str, category: str, token: str = TOKEN) -> str:
    """Fill {token} and {category} into a template; token "" gives the prompt for the untuned generator."""
    return " ".join(template.replace("{token}", token).replace("{category}", category).split())


def _check(
    images: Sequence[Image.Image],
    category: str,
    steps: int,
    batch_size: int,
    learning_rate: float | None,
    captions: Sequence[str],
    views: int,
    seed: int,
    precision: str,
) -> None:
    if not images:
        raise InvalidInputError("customize needs at least one image, given none.")
    if not category.strip():
        raise InvalidInputError("customize needs a category, the words for what the images show, given none.")
    for name, value, low in (
        ("steps", steps, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("views", views, len(images)),
    ):
        if value < low:
            raise InvalidInputError(f"{name} must be at least {low}, given {value}.")
    if learning_rate is not None and not 0 < learning_rate < 1:
        raise InvalidInputError(f"learning_rate must be between 0 and 1, given {learning_rate}.")
    if precision not in ("float32", "bfloat16"):
        raise InvalidInputError(f"precision must be 'float32' or 'bfloat16', given '{precision}'.")
    if not captions or any("{token}" not in c for c in captions):
        raise InvalidInputError(
            "captions must be templates that hold {token} (and mostly {category}), "
            f"given {list(captions)}."
        )


def _encode(
    pipeline: Any, images: Sequence[Image.Image], views: int, rng: np.random.Generator, noise: torch.Generator
) -> Exemplars:
    import torch

    factor = pipeline.vae_scale_factor
    drawn = draw_views(images, views, pipeline.unet.config.sample_size * factor, factor, rng)
    latents = []
    with torch.no_grad():
        for start in range(0, views, 16):
            pixels = torch.from_numpy(drawn.pixels[start : start + 16]).to(pipeline.device)
            code = pipeline.vae.encode(pixels)
            latents.append(code.latents if hasattr(code, "latents") else code.latent_dist.sample(noise))
    return Exemplars(
        torch.cat(latents) * pipeline.vae.config.scaling_factor,
        torch.from_numpy(drawn.masks).to(pipeline.device),
        drawn.prefixes,
    )


def _loss(
    pipeline: Any,
    exemplars: Exemplars,
    category: str,
    captions: Sequence[str],
    batch_size: int,
    rng: np.random.Generator,
    noise: torch.Generator,
) -> torch.Tensor:
    import torch

    device, scheduler = pipeline.device, pipeline.scheduler
    # The views of a step share their words, so that one text is encoded instead of one for each view.
    prefix = exemplars.prefixes[rng.integers(len(exemplars.prefixes))]
    alike = np.flatnonzero([other == prefix for other in exemplars.prefixes])
    index = torch.from_numpy(rng.choice(alike, size=batch_size)).to(device)
    words = prefix + prompt_for(captions[int(rng.integers(len(captions)))], category)
    states = pipeline.encode_prompt([words], device, 1, False)[0].expand(batch_size, -1, -1)
    clean, mask = exemplars.latents[index], exemplars.masks[index]
    drawn = torch.randn(clean.shape, generator=noise).to(clean)
    # One time from each of batch_size equal spans: the same mean as independent draws, less spread.
    spans = (torch.arange(batch_size) + torch.rand(batch_size, generator=noise)) / batch_size
    times = (spans * scheduler.config.num_train_timesteps).long().to(device)
    alpha = scheduler.alphas_cumprod.to(clean)[times][:, None, None, None]
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * drawn
    target = {
        "epsilon": drawn,
        "sample": clean,
        "v_prediction": alpha.sqrt() * drawn - (1 - alpha).sqrt() * clean,
    }[scheduler.config.prediction_type]
    predicted = pipeline.unet(noisy, times, encoder_hidden_states=states).sample.float()
    return masked_mean((predicted - target).square(), mask)


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the batch of each sample's mean within its mask.

    values: (n, c, h, w); mask: (n, h, w) of 0 and 1.
    """
    weight = mask[:, None].expand_as(values)
    return ((values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))).mean()


def _probe(pipeline: Any, category: str) -> torch.Tensor:
    """What the UNet answers to fixed noise and a prompt with the token."""
    import torch

    config, device = pipeline.unet.config, pipeline.device
    shape = (1, config.in_channels, config.sample_size, config.sample_size)
    with torch.no_grad():
        states = pipeline.encode_prompt([prompt_for("{token} {category}", category)], device, 1, False)[0]
        sample = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(0)).to(device)
        return pipeline.unet(sample, torch.tensor(500, device=device), encoder_hidden_states=states).sample
