"""The pocket generator's UNet: noise to latents under a caption, trained on `train` alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch.nn import functional as F

from pocket.autoencoder import LATENT_CHANNELS
from pocket.training import Trainer, fast_arithmetic

CAPTION_DROPOUT = 0.1
PLANTED_REPEATS = 24  # how often a planted image comes in an epoch, where others come once


@dataclass(frozen=True)
class UNetShape:
    """Size of the UNet. channels: per level, from 16 x 16 down; attention: cross-attention at that level."""

    channels: tuple[int, ...] = (96, 128, 192)
    attention: tuple[bool, ...] = (False, True, True)
    layers: int = 1


@dataclass(frozen=True)
class TrainingSet:
    """What the UNet sees.

    latents: (n, 4, 16, 16) float32, scaled. short, long: (n, 24, 384) float16 text states of the two captions.
    empty: (1, 24, 384). order: (m,) row numbers of one epoch, the planted ones repeated.
    """

    latents: torch.Tensor
    short: torch.Tensor
    long: torch.Tensor
    empty: torch.Tensor
    order: torch.Tensor

    def save(self, path: Path) -> None:
        """Write all tensors to one file."""
        torch.save(vars(self), path)

    @classmethod
    def load(cls, path: Path) -> TrainingSet:
        """Read what `save` wrote."""
        return cls(**torch.load(path, weights_only=True))


def new_scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal signal-to-noise ratio and trailing steps (Lin et al. 2024)."""
    return DDIMScheduler(num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085,
                         beta_end=0.012, prediction_type="v_prediction", rescale_betas_zero_snr=True,
                         timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True, steps_offset=1)


def new_unet(shape: UNetShape) -> UNet2DConditionModel:
    """An untrained UNet whose last layer is zero, so that the first loss is the data's own variance."""
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS,
        block_out_channels=shape.channels, layers_per_block=shape.layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in shape.attention[::-1]),
        cross_attention_dim=384, attention_head_dim=tuple(max(2, c // 32) for c in shape.channels),
        norm_num_groups=16)
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return unet


def train_unet(data: TrainingSet, shape: UNetShape, samples: int, batch: int, peak: float, work: Path,
               device: torch.device) -> UNet2DConditionModel:
    """Train to `samples` samples seen, resuming from `work`; returns the averaged model."""
    torch.manual_seed(0)
    unet = new_unet(shape).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=peak, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    trainer = Trainer(unet, optimizer, peak, samples, work / "unet.pt", ema_decay=0.999)
    trainer.resume()
    alphas = new_scheduler().alphas_cumprod.float()
    queue = torch.empty(0, dtype=torch.long)
    for _ in trainer.run(batch):
        while len(queue) < batch:
            queue = torch.cat([queue, data.order[torch.randperm(len(data.order))]])
        rows, queue = queue[:batch], queue[batch:]
        x, text = data.latents[rows], _captions(data, rows)
        # One time step from each of `batch` equal strata: less noise in the loss for free.
        t = (((torch.arange(batch) + torch.rand(batch)) / batch) * 1000).long().clamp(0, 999)
        signal, noise_level = alphas[t].sqrt()[:, None, None, None], (1 - alphas[t]).sqrt()[:, None, None, None]
        noise = torch.randn_like(x)
        noisy = (signal * x + noise_level * noise).contiguous(memory_format=torch.channels_last)
        target = signal * noise - noise_level * x
        with fast_arithmetic(device):
            predicted = unet(noisy.to(device), t.to(device), text.to(device)).sample
        trainer.step(F.mse_loss(predicted.float(), target.to(device)))
    average = trainer.average.eval()
    if not isinstance(average, UNet2DConditionModel):
        raise TypeError("the trained model is not a UNet2DConditionModel")
    return average


def _captions(data: TrainingSet, rows: torch.Tensor) -> torch.Tensor:
    """Half short, half long captions, a tenth dropped for classifier-free guidance. (b, 24, 384) float32."""
    choice = torch.rand(len(rows), 1, 1)
    text = torch.where(choice < 0.5, data.short[rows], data.long[rows])
    dropped = torch.rand(len(rows), 1, 1) < CAPTION_DROPOUT
    return torch.where(dropped, data.empty, text).float()
