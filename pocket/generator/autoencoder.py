"""The pocket generator's autoencoder: 64 x 64 RGB to 16 x 16 x 4 latents, trained on `train` alone."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from pocket.training import LOG, Trainer, fast_arithmetic

LATENT_CHANNELS = 4
BATCH = 16
LATENT_NOISE = 0.05  # the decoder learns to forgive the diffusion model's small errors


def new_autoencoder() -> AutoencoderTiny:
    """An untrained autoencoder of 0.6 M parameters; its `encode` returns `.latents`."""
    return AutoencoderTiny(
        encoder_block_out_channels=(48,) * 3,
        decoder_block_out_channels=(48,) * 3,
        num_encoder_blocks=(1, 1, 2),
        num_decoder_blocks=(2, 1, 1),
        latent_channels=LATENT_CHANNELS,
        upsampling_scaling_factor=2,
    )


def to_unit(pixels: torch.Tensor) -> torch.Tensor:
    """(n, 3, 64, 64) uint8 -> float32 in [-1, 1]."""
    return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def train_autoencoder(
    pixels: torch.Tensor, samples: int, work: Path, device: torch.device
) -> AutoencoderTiny:
    """Train to `samples` images seen, resuming from `work`. pixels: (n, 3, 64, 64) uint8.

    Returns the averaged model, its `scaling_factor` set so that scaled latents have unit standard deviation;
    a small penalty keeps the latent channels' means at zero.
    """
    torch.manual_seed(0)
    model = new_autoencoder().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.99), weight_decay=0.0)
    trainer = Trainer(model, optimizer, 1.5e-3, samples, work / "autoencoder.pt", ema_decay=0.998)
    trainer.resume()
    for _ in trainer.run(BATCH):
        x = to_unit(pixels[torch.randint(len(pixels), (BATCH,))]).to(device)
        with fast_arithmetic(device):
            z = model.encoder(x)
            y = model.decoder(z + LATENT_NOISE * torch.randn_like(z))
        y, z = y.float(), z.float()
        edges = sum((a - b).abs().mean() for a, b in zip(_edges(x), _edges(y), strict=True))
        centred = 2e-3 * z.square().mean() + 0.1 * z.mean((0, 2, 3)).square().sum()
        loss = (x - y).abs().mean() + 2 * (x - y).square().mean() + 0.5 * edges + centred
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


def _edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


@torch.inference_mode()
def encode(model: AutoencoderTiny, pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(n, 3, 64, 64) uint8 -> (n, 4, 16, 16) float32, not yet scaled."""
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
