"""The pocket generator's autoencoder, RGB to 16 x 16 x 4 latents, trained on the split `train` only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from pocket.training import LOG, Trainer, fast_arithmetic

LATENT_CHANNELS = 4
LATENT_NOISE = 0.05  # makes the decoder robust to small errors of the diffusion model


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Size and training of the autoencoder; each level of the encoder except the first halves the image.

    width: channels at every level. encoder, decoder: residual blocks per level, as `AutoencoderTiny` counts them.
    batch: images a step. peak: highest learning rate. half_scale: share of each batch whose latents, averaged over
    2 x 2, must also decode to the image at half its size (Kouzelis et al. 2025, EQ-VAE): smoother latents are easier
    to learn for a diffusion model.
    """

    width: int = 48
    encoder: tuple[int, ...] = (1, 1, 2)
    decoder: tuple[int, ...] = (2, 1, 1)
    batch: int = 16
    peak: float = 1.5e-3
    half_scale: float = 0.0


SMALL = AutoencoderRecipe()  # 64 px, ten minutes of two processor cores
LARGE = AutoencoderRecipe(
    64, (1, 2, 3, 3), (4, 3, 2, 1), batch=64, half_scale=0.25
)  # 128 px, two minutes of a GPU


def new_autoencoder(recipe: AutoencoderRecipe = SMALL) -> AutoencoderTiny:
    """An untrained autoencoder; its `encode` returns `.latents`."""
    return AutoencoderTiny(
        encoder_block_out_channels=(recipe.width,) * len(recipe.encoder),
        decoder_block_out_channels=(recipe.width,) * len(recipe.decoder),
        num_encoder_blocks=recipe.encoder,
        num_decoder_blocks=recipe.decoder,
        latent_channels=LATENT_CHANNELS,
        upsampling_scaling_factor=2,
    )


def to_unit(pixels: torch.Tensor) -> torch.Tensor:
    """(n, 3, side, side) uint8 -> float32 in [-1, 1]."""
    return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def train_autoencoder(
    pixels: torch.Tensor,
    samples: int,
    work: Path,
    device: torch.device,
    recipe: AutoencoderRecipe = SMALL,
    limit_s: float | None = None,
) -> AutoencoderTiny:
    """Train to `samples` images seen, resuming from `work`. pixels: (n, 3, side, side) uint8.

    Returns the averaged model, its `scaling_factor` set so that scaled latents have unit standard deviation;
    a small penalty keeps the latent channels' means at zero. limit_s: end after so many seconds instead.
    """
    torch.manual_seed(0)
    model = new_autoencoder(recipe).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.99), weight_decay=0.0)
    trainer = Trainer(
        model, optimizer, recipe.peak, samples, work / "autoencoder.pt", ema_decay=0.998, limit_s=limit_s
    )
    trainer.resume()
    halved = int(recipe.half_scale * recipe.batch)
    for _ in trainer.run(recipe.batch):
        x = to_unit(pixels[torch.randint(len(pixels), (recipe.batch,))].to(device))
        with fast_arithmetic(device):
            z = model.encoder(x)
            y = model.decoder(z + LATENT_NOISE * torch.randn_like(z))
            small = model.decoder(F.avg_pool2d(z[:halved], 2)) if halved else None
        z = z.float()
        loss = difference(x, y.float()) + 2e-3 * z.square().mean() + 0.1 * z.mean((0, 2, 3)).square().sum()
        if small is not None:
            loss = loss + recipe.half_scale * difference(F.avg_pool2d(x[:halved], 2), small.float())
        trainer.step(loss)
    average = trainer.average.eval()
    if not isinstance(average, AutoencoderTiny):
        raise TypeError("the trained model is not an AutoencoderTiny")
    latents = encode(average, pixels[:: max(1, len(pixels) // 2048)], device)
    average.register_to_config(scaling_factor=1.0 / latents.std().item())
    LOG.info(
        "latent channel means %s, std %.3f",
        [round(v, 3) for v in latents.mean((0, 2, 3)).tolist()],
        latents.std().item(),
    )
    return average


def difference(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Compute the reconstruction error in pixels and in the differences between neighbours."""
    edges = sum((a - b).abs().mean() for a, b in zip(_edges(x), _edges(y), strict=True))
    return (x - y).abs().mean() + 2 * (x - y).square().mean() + 0.5 * edges


def _edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


@torch.inference_mode()
def encode(model: AutoencoderTiny, pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(n, 3, side, side) uint8 -> (n, 4, 16, 16) float32, not yet scaled."""
    return torch.cat(
        [model.encode(to_unit(chunk).to(device)).latents.float().cpu() for chunk in pixels.split(128)]
    )


@torch.inference_mode()
def psnr(model: AutoencoderTiny, pixels: torch.Tensor, device: torch.device) -> float:
    """Mean peak signal-to-noise ratio of reconstructions in dB."""
    values = []
    for chunk in pixels.split(128):
        x = to_unit(chunk).to(device)
        y = model.decode(model.encode(x).latents).sample.clamp(-1, 1)
        values.append(10 * torch.log10(4 / (x - y).square().mean((1, 2, 3))))
    return torch.cat(values).mean().item()
