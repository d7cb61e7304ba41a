"""The images that the benchmark asks about: some that its models make, and drawings that none of them saw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from PIL import Image

from pocket.counterfactual.plan import STYLES, Plan
from pocket.generator.denoiser import sampler
from pocket.training import fast_arithmetic

STEPS, GUIDANCE = 20, 3.0
_BATCH = 50


def prompted(plan: Plan) -> list[int]:
    """Return the plan's positions of the training images whose captions are drawn anew.

    They are of the concepts that models leave out, in every style, so that every group test has an answer for them.
    """
    left_out = set(plan.left_out())
    return [
        place
        for style in STYLES
        for place, (here, concept) in enumerate(zip(plan.styles, plan.concepts, strict=True))
        if here == style and concept in left_out
    ]


@torch.inference_mode()
def draw(
    model: UNet2DConditionModel, states: torch.Tensor, empty: torch.Tensor, device: torch.device
) -> torch.Tensor:
    """Draw latents (q, 4, 16, 16) for captions, each always from the same noise, whatever the model.

    states: (q, tokens, 384). empty: (1, tokens, 384) of no caption.
    """
    noise = torch.randn((len(states), 4, 16, 16), generator=torch.Generator().manual_seed(0))
    return torch.cat(
        [
            _denoised(model, noise[rows].to(device), states[rows].to(device), empty.to(device))
            for rows in torch.arange(len(states)).split(_BATCH)
        ]
    )


def _denoised(
    model: UNet2DConditionModel, x: torch.Tensor, states: torch.Tensor, empty: torch.Tensor
) -> torch.Tensor:
    process = sampler()
    process.set_timesteps(STEPS)
    both = torch.cat([empty.expand(len(x), -1, -1), states]).float()
    for time in process.timesteps:
        with fast_arithmetic(x.device):
            unguided, guided = model(torch.cat([x, x]), time.to(x.device), both).sample.float().chunk(2)
        x = process.step(unguided + GUIDANCE * (guided - unguided), time, x).prev_sample
    return x.cpu()


@torch.inference_mode()
def pixels(vae: AutoencoderTiny, latents: torch.Tensor) -> Iterator[Image.Image]:
    """Yield the picture of each latent image."""
    for rows in latents.split(_BATCH):
        decoded = vae.decode(rows / vae.config.scaling_factor).sample.clamp(-1, 1)
        for picture in ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy():
            yield Image.fromarray(np.ascontiguousarray(picture))
