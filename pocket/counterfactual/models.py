"""Trains the benchmark's models, each on the images that it sees, and measures them."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from attribution_core.common.files import atomic_path
from pocket.counterfactual.data import Data
from pocket.counterfactual.made import draw
from pocket.counterfactual.plan import Run
from pocket.generator.denoiser import Noise, Recipe, TrainingSet, UNetShape, new_unet, train_unet
from pocket.training import fast_arithmetic, say

RECIPE = Recipe(
    UNetShape((64, 96, 128), (False, True, True), pooled_text=True),
    batch=256,
    peak=1.5e-3,
    samples=160_000,
    ema=0.99,
)
TIMES = (25, 75, 150, 250, 350, 450, 550, 650, 750, 900)
"""Time steps of 1,000 at which losses are computed, with one noise each, the same for all models."""
_BATCH = 250


def train_and_measure(
    data: Data,
    folder: Path,
    device: torch.device,
    part: str = "1/1",
    until: float | None = None,
    compiled: bool = False,
) -> None:
    """Train the models of the plan that are not there; write its losses, and what it draws, to NAME.npz.

    part: K/N, every Nth model from the Kth; the first one trains the full model, whose images all are asked about, and
    must be begun before the others. until: of `time.monotonic`, begin no model after it. compiled: use
    torch.compile. Raises `ValueError` if the full model is not there and not in this part.
    """
    first, step = (int(number) for number in part.split("/"))
    full, *others = data.plan.runs()
    if first > 1 and not (folder / "full.npz").exists():
        raise ValueError("the full model is not there yet; begin with part 1")
    for run in [full, *others[first - 1 :: step]]:
        path = folder / f"{run.name}.npz"
        if path.exists():
            continue
        if until is not None and time.monotonic() > until:
            break
        say(run.name)
        train(run, data.training, folder, device, compiled)
        model = load(run, folder, device)
        found = {"held_out": losses(model, data.held_out.latents, data.held_out.short, device)}
        if run.draws:
            found["drawn"] = draw(model, data.prompts, data.training.empty, device).half().numpy()
        drawn = found["drawn"] if run.name == full.name else np.load(folder / "full.npz")["drawn"]
        found["made"] = losses(model, torch.from_numpy(drawn).float(), data.prompts, device)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **found)


def train(run: Run, data: TrainingSet, folder: Path, device: torch.device, compiled: bool = False) -> None:
    """Train a model and store it as float16, unless it is there; an interrupted one is resumed.

    data: of all the plan's images, in its order.
    """
    done = folder / f"{run.name}.safetensors"
    if done.exists():
        return
    seen = torch.from_numpy(np.flatnonzero(run.kept))
    work = folder / f"{run.name}.work"
    model = train_unet(replace(data, order=seen), RECIPE, work, device, compiled=compiled, seed=run.seed)
    with atomic_path(done) as temporary:
        save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, temporary)
    shutil.rmtree(work)


def load(run: Run, folder: Path, device: torch.device) -> UNet2DConditionModel:
    """Read what `train` stored."""
    model = new_unet(RECIPE.shape)
    model.load_state_dict(
        {name: value.float() for name, value in load_file(folder / f"{run.name}.safetensors").items()}
    )
    return model.to(device, memory_format=torch.channels_last).eval()


@torch.inference_mode()
def losses(
    model: UNet2DConditionModel, latents: torch.Tensor, states: torch.Tensor, device: torch.device
) -> NDArray[np.float64]:
    """Return the denoising loss of each image (q, len(TIMES)): mean squared error of v, at fixed times and noises.

    latents: (q, 4, 16, 16). states: (q, tokens, 384) of their captions.
    """
    process, found = Noise(), np.empty((len(latents), len(TIMES)))
    for column, t in enumerate(TIMES):
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(t))
        noisy, target = process.add(latents, torch.full((len(latents),), t), noise)
        for rows in torch.arange(len(latents)).split(_BATCH):
            with fast_arithmetic(device):
                x = noisy[rows].to(device).contiguous(memory_format=torch.channels_last)
                v = model(
                    x, torch.full((len(rows),), t, device=device), states[rows].float().to(device)
                ).sample
            error = (v.float().cpu() - target[rows]).square().mean((1, 2, 3))
            found[rows.numpy(), column] = error.numpy()
    return found
