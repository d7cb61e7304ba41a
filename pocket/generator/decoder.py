"""Trains the autoencoder's decoder further, on latents as the diffusion model makes them; the latents stay as they are.

A decoder that has only seen exact latents turns the diffusion model's small errors into blots of colour. Half of its
inputs are therefore latents with noise, the other half those that the diffusion model predicts from noisy ones. A
critic that tells patches of decoded images from those of real ones (Esser et al., CVPR 2021) then makes edges crisp.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import nn

from pocket.generator.autoencoder import difference, to_unit
from pocket.generator.denoiser import Noise, new_scheduler
from pocket.generator.looks import SLOTS, VariedSet
from pocket.training import Trainer, fast_arithmetic

PEAK = 1e-3  # highest learning rate
LARGEST_NOISE = 0.25  # standard deviation, of latents of unit standard deviation
LATEST_STEP = 300  # of 1,000: predictions from later steps no longer show the same drawing
CRITIC_PEAK = 2e-4
CRITIC_FIRST = 200  # steps in which only the critic learns, since a new one would mislead


def train_decoder(
    vae: AutoencoderTiny,
    unet: UNet2DConditionModel,
    data: VariedSet,
    pixels: torch.Tensor,
    work: Path,
    device: torch.device,
    batch: int,
    limit_s: float,
    compiled: bool = False,
    critic: float = 0.0,
) -> AutoencoderTiny:
    """Train until `limit_s` seconds in all, resuming from `work`; returns `vae` with the averaged decoder.

    pixels: (n, LOOKS, 3, side, side) uint8, the images of the latents in `data`. critic: how strongly a new critic
    pulls, relative to the reconstruction error.
    """
    torch.manual_seed(0)
    data, scale = data.to(device), vae.config.scaling_factor
    predicted = predictions(unet.to(device), data, device)
    decoder = vae.decoder.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=PEAK, betas=(0.9, 0.99), weight_decay=0.0)
    trainer = Trainer(decoder, optimizer, PEAK, 1, work / "decoder.pt", ema_decay=0.998, limit_s=limit_s)
    trainer.resume()
    network = torch.compile(decoder, dynamic=False) if compiled else decoder
    judge = Critic(device, compiled) if critic else None
    pixels = pixels.to(device)
    for _ in trainer.run(batch):
        rows = torch.randint(len(pixels), (batch,), device=device)
        looks = data.looks[rows, torch.randint(SLOTS, (batch,), device=device)]
        exact = data.latents[rows, looks].float()
        noise = LARGEST_NOISE * torch.rand(batch, 1, 1, 1, device=device) * torch.randn_like(exact)
        z = torch.where(
            torch.rand(batch, 1, 1, 1, device=device) < 0.5,
            predicted[rows, looks].float(),
            exact + noise,
        )
        with fast_arithmetic(device):
            y = network((z / scale).contiguous(memory_format=torch.channels_last))
        real, made = to_unit(pixels[rows, looks]), y.float()
        loss = difference(real, made)
        if judge:
            loss = loss + critic * (made * judge.pull(real, made.detach())).sum()
        trainer.step(loss)
    vae.decoder.load_state_dict(trainer.average.state_dict())
    return vae.cpu().eval()


@torch.inference_mode()
def predictions(unet: UNet2DConditionModel, data: VariedSet, device: torch.device) -> torch.Tensor:
    """The diffusion model's predictions of all latents from noisy ones under their caption, like `data.latents`."""
    unet.eval()
    process, alphas = Noise(), new_scheduler().alphas_cumprod.float().to(device)
    flat = data.latents.flatten(0, 1)
    predicted = torch.empty_like(flat)
    for rows in torch.arange(len(flat), device=device).split(1024 if device.type == "cuda" else 32):
        x = flat[rows].float()
        t = torch.randint(LATEST_STEP, (len(rows),))
        noisy, _ = process.add(x, t, torch.randn_like(x))
        captions = data.captions.flatten(0, 1)[rows, torch.randint(SLOTS, rows.shape, device=device)]
        with fast_arithmetic(device):
            v = unet(noisy, t.to(device), data.states[captions].float()).sample.float()
        a = alphas[t.to(device)][:, None, None, None]
        predicted[rows] = (a.sqrt() * noisy - (1 - a).sqrt() * v).to(predicted.dtype)
    return predicted.unflatten(0, data.latents.shape[:2])


class Critic:
    """Tells patches of real images from those of decoded ones, and learns while it does."""

    def __init__(self, device: torch.device, compiled: bool) -> None:
        widths = (3, 64, 128, 256)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1),
                nn.GroupNorm(16, after),
                nn.LeakyReLU(0.2),
            ]
        self._model = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self._model.to(device, memory_format=torch.channels_last)
        self._network = torch.compile(self._model, dynamic=False) if compiled else self._model
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=CRITIC_PEAK, betas=(0.5, 0.9))
        self._device, self._steps = device, 0

    def pull(self, real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Learn from a batch, and return the gradient (b, 3, side, side) that makes `made` look real.

        Its norm is that of the reconstruction error's; zero in the first `CRITIC_FIRST` steps.
        """
        loss = F.relu(1 - self._of(real)).mean() + F.relu(1 + self._of(made)).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._steps += 1
        if self._steps <= CRITIC_FIRST:
            return torch.zeros_like(made)
        made = made.requires_grad_()
        (error,) = torch.autograd.grad(difference(real, made), made)
        (pull,) = torch.autograd.grad(-self._of(made).mean(), made)
        return pull * (error.norm() / pull.norm().clamp_min(1e-12))

    def _of(self, images: torch.Tensor) -> torch.Tensor:
        with fast_arithmetic(self._device):
            return self._network(images).float()
