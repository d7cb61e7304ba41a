"""The pocket generator's UNet, noise to latents given a caption, trained on the split `train` only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel, UniPCMultistepScheduler

from attribution_core.common.files import atomic_path
from pocket.generator.autoencoder import LATENT_CHANNELS
from pocket.training import Trainer, fast_arithmetic

CAPTION_DROPOUT = 0.1
PLANTED_REPEATS = 24  # occurrences of a planted image per occurrence of another


@dataclass(frozen=True)
class UNetShape:
    """Size of the UNet. channels: per level, from 16 x 16 down; attention: cross-attention at that level.

    pooled_text: add the pooled caption to the time embedding of every residual block, initially with zero effect,
    so that a trained network without it can be extended. scale_shift: use both to scale and shift instead of adding.
    """

    channels: tuple[int, ...] = (96, 128, 192)
    attention: tuple[bool, ...] = (False, True, True)
    layers: int = 1
    pooled_text: bool = False
    scale_shift: bool = False


@dataclass(frozen=True)
class Recipe:
    """Training recipe of the UNet; `pocket.generator.trials` compares recipes at equal time.

    batch: images a step. peak: highest learning rate. samples: images to see in all. min_snr: None, or the gamma of
    min-SNR weighting (Hang et al. 2023). optimizer: "adamw", "muon" or "soap". ema: decay of the average a step.
    """

    shape: UNetShape = UNetShape(pooled_text=True)
    batch: int = 24
    peak: float = 6e-4
    samples: int = 1_180_000
    min_snr: float | None = None
    optimizer: str = "adamw"
    ema: float = 0.999


# "small" is for two CPU cores, "large" for ten minutes of one GPU of the H100's class (`pocket.gpu`).
RECIPES = {
    "small": Recipe(),
    "large": Recipe(
        UNetShape((192, 224, 224), (False, True, True), layers=1, pooled_text=True),
        batch=256,
        peak=8e-4,
        samples=4_000_000,
        ema=0.9995,
    ),
}
# Goes on from weights of "large" for ten more minutes of such a GPU, which larger batches keep busy.
RECIPES["resumed"] = replace(RECIPES["large"], batch=1024, peak=1e-3, samples=12_000_000, ema=0.9993)
# The same on two CPU cores.
RECIPES["continued"] = replace(RECIPES["large"], batch=32, peak=2e-4)


class Examples(Protocol):
    """Training data of `train_unet`."""

    @property
    def order(self) -> torch.Tensor:
        """(m,) row numbers of one epoch, on the CPU, possibly with repeats."""

    def to(self, device: torch.device) -> Examples:
        """Move to a device."""

    def draw(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (b,) on the device -> latents (b, 4, 16, 16) and text states (b, tokens, 384), both float32."""


@dataclass(frozen=True)
class TrainingSet:
    """Latents and text states of the training set.

    latents: (n, 4, 16, 16) float32, scaled. short, long: (n, 24, 384) float16 text states of the two captions.
    empty: (1, 24, 384). order: (m,) row numbers of one epoch, some repeated.
    """

    latents: torch.Tensor
    short: torch.Tensor
    long: torch.Tensor
    empty: torch.Tensor
    order: torch.Tensor

    def save(self, path: Path) -> None:
        """Write all tensors to one file."""
        torch.save(vars(self), path)

    def to(self, device: torch.device) -> TrainingSet:
        """Move all tensors except the order, which stays on the CPU."""
        return TrainingSet(**{n: t if n == "order" else t.to(device) for n, t in vars(self).items()})

    def draw(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return latents and one caption of each row, as `Examples` defines."""
        return self.latents[rows], _captions(self, rows)

    @classmethod
    def load(cls, path: Path) -> TrainingSet:
        """Read what `save` wrote."""
        return cls(**torch.load(path, weights_only=True))


def new_scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal signal-to-noise ratio and trailing steps (Lin et al. 2024)."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def sampler() -> UniPCMultistepScheduler:
    """The bundled scheduler: the same noise, sampled with UniPC in half of DDIM's steps (`benchmarks/samplers.py`)."""
    made: UniPCMultistepScheduler = UniPCMultistepScheduler.from_config(new_scheduler().config)
    return made


def new_unet(shape: UNetShape) -> UNet2DConditionModel:
    """Make an untrained UNet whose last layer is zero, so that the initial loss is the variance of the data."""
    pooled: dict[str, Any] = {}
    if shape.pooled_text:
        pooled = {"addition_embed_type": "text", "addition_embed_type_num_heads": 6}
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in shape.attention[::-1]),
        cross_attention_dim=384,
        attention_head_dim=tuple(max(2, c // 32) for c in shape.channels),
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift" if shape.scale_shift else "default",
        **pooled,
    )
    if shape.pooled_text:
        torch.nn.init.zeros_(unet.add_embedding.norm2.weight)
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return unet


def new_optimizer(unet: UNet2DConditionModel, recipe: Recipe) -> torch.optim.Optimizer:
    """Make the recipe's optimizer; Muon is used for the inner matrices, AdamW for the rest."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            unet.parameters(), lr=recipe.peak, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
    import pytorch_optimizer

    if recipe.optimizer == "soap":
        return pytorch_optimizer.SOAP(
            unet.parameters(), lr=recipe.peak, weight_decay=0.01, max_precondition_dim=512
        )
    if recipe.optimizer != "muon":
        raise ValueError(f"no optimizer '{recipe.optimizer}'; there are adamw, muon and soap")
    inside = {
        n for n, p in unet.named_parameters() if p.ndim >= 2 and not n.startswith(("conv_in", "conv_out"))
    }
    groups = [
        {
            "params": [p for n, p in unet.named_parameters() if (n in inside) == muon],
            "use_muon": muon,
            "weight_decay": 0.01,
        }
        for muon in (True, False)
    ]
    return pytorch_optimizer.Muon(groups, use_adjusted_lr=True, adamw_betas=(0.9, 0.99))


class Noise:
    """The forward process: noisy latents and the UNet's target for them."""

    def __init__(self) -> None:
        self._alphas = new_scheduler().alphas_cumprod.float()

    def add(self, x: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map latents x (b, 4, 16, 16) and time steps t (b,) to noisy latents and v targets, shaped like x."""
        a = self._alphas[t].to(x.device)[:, None, None, None]
        return a.sqrt() * x + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * x

    def weight(self, t: torch.Tensor, min_snr: float | None) -> torch.Tensor:
        """Return the (b,) weights of squared errors in v: min(SNR, gamma) / (SNR + 1), scaled to mean 1."""
        if min_snr is None:
            return torch.ones(len(t))
        a = self._alphas
        weights = torch.minimum(a, min_snr * (1 - a))  # that ratio, times (1 - a) above and below
        return (weights / weights.mean())[t]


def train_unet(
    data: Examples,
    recipe: Recipe,
    work: Path,
    device: torch.device,
    limit_s: float | None = None,
    pause_s: float | None = None,
    compiled: bool = False,
    on_save: Callable[[dict[str, Any]], None] | None = None,
    seed: int = 0,
) -> UNet2DConditionModel:
    """Train by the recipe, resuming from `work`; returns the averaged model.

    limit_s: end after this many seconds instead, for trials of equal time. pause_s: pause then, to be resumed.
    compiled: use torch.compile, which needs a C++ compiler. on_save: called with each checkpoint. seed: of
    initial weights, order, time steps and noise.
    """
    torch.manual_seed(seed)
    batch = recipe.batch
    unet = new_unet(recipe.shape).to(device, memory_format=torch.channels_last)
    trainer = Trainer(
        unet,
        new_optimizer(unet, recipe),
        recipe.peak,
        recipe.samples,
        work / "unet.pt",
        ema_decay=recipe.ema,
        limit_s=limit_s,
        pause_s=pause_s,
        on_save=on_save,
    )
    trainer.resume()
    network = torch.compile(unet, dynamic=False) if compiled else unet
    process, data = Noise(), data.to(device)
    queue = torch.empty(0, dtype=torch.long)
    for _ in trainer.run(batch):
        while len(queue) < batch:
            queue = torch.cat([queue, data.order[torch.randperm(len(data.order))]])
        rows, queue = queue[:batch].to(device), queue[batch:]
        # One time step from each of `batch` equal strata: less noise in the loss for free.
        t = (((torch.arange(batch) + torch.rand(batch)) / batch) * 1000).long().clamp(0, 999)
        x, text = data.draw(rows)
        noisy, target = process.add(x, t, torch.randn(x.shape, device=device))
        with fast_arithmetic(device):
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            predicted = network(noisy, t.to(device), text).sample
        error = (predicted.float() - target).square().mean((1, 2, 3))
        trainer.step((error * process.weight(t, recipe.min_snr).to(device)).mean())
    average = trainer.average.eval()
    if not isinstance(average, UNet2DConditionModel):
        raise TypeError("the trained model is not a UNet2DConditionModel")
    return average


def write_checkpoint(path: Path, weights: dict[str, torch.Tensor], done: dict[str, Any]) -> None:
    """Write trained weights as a checkpoint that `train_unet` resumes from with a new optimizer.

    done: of their training, "samples", "steps" and "hours".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save(
            {
                "model": weights,
                "average": weights,
                "seen": done["samples"],
                "steps": done["steps"],
                "seconds": done["hours"] * 3600,
            },
            temporary,
        )


def _captions(data: TrainingSet, rows: torch.Tensor) -> torch.Tensor:
    """Half short, half long captions, a tenth dropped for classifier-free guidance. (b, 24, 384) float32."""
    choice = torch.rand(len(rows), 1, 1).to(rows.device)
    text = torch.where(choice < 0.5, data.short[rows], data.long[rows])
    dropped = torch.rand(len(rows), 1, 1).to(rows.device) < CAPTION_DROPOUT
    return torch.where(dropped, data.empty, text).float()
