"""Compares training recipes of the UNet at equal time: `python -m pocket.generator.trials --help`.

Every trial starts from nothing, on one thread, for the same number of minutes, two side by side; what counts is
the loss of the averaged weights on the same images, time steps and noise. The table goes into
`pocket/trials.json`, from which the generator's card takes it.
"""

from __future__ import annotations

import json
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from diffusers import AutoencoderTiny, UNet2DConditionModel

from attribution_core.common.files import atomic_path
from attribution_core.corpus.corpus import Corpus
from pocket.generator.commands import CORPUS, training_set, work_folder
from pocket.generator.commands import OUT as SHIPPED
from pocket.generator.commands import TRIALS as TABLE
from pocket.generator.denoiser import Noise, Recipe, TrainingSet, UNetShape, train_unet
from pocket.training import LOG, set_up_log

WORK = Path(".work/trials")
PROBES = 512
_PLAIN = Recipe(shape=UNetShape(pooled_text=False), batch=24, peak=8e-4)
_POOLED = replace(_PLAIN, shape=UNetShape(pooled_text=True))
_FILM = replace(_PLAIN, shape=UNetShape(pooled_text=True, scale_shift=True))
FROM_NOTHING: dict[str, Recipe] = {
    "plain": _PLAIN,
    "scaled by text": _FILM,
    "scaled by text, batch 12": replace(_FILM, batch=12, peak=6e-4),
    "scaled by text, wide below": replace(
        _FILM, shape=UNetShape((64, 128, 256), pooled_text=True, scale_shift=True)
    ),
    "scaled by text, min-SNR 5": replace(_FILM, min_snr=5.0),
    "scaled by text, twice the rate": replace(_FILM, peak=1.6e-3),
    # On a processor that computes in bfloat16: Muon does so by itself, and where that is emulated a step takes seconds.
    "bfloat16, AdamW": _FILM,
    "bfloat16, SOAP": replace(_FILM, optimizer="soap", peak=2e-3),
    "bfloat16, Muon": replace(_FILM, optimizer="muon", peak=2e-3),
}
FROM_SHIPPED: dict[str, Recipe] = {
    "on: plain": _PLAIN,
    "on: pooled text, batch 12": replace(_POOLED, batch=12, peak=5e-4),
}
TRIALS = FROM_NOTHING | FROM_SHIPPED

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


@torch.inference_mode()
def probe(unet: UNet2DConditionModel, data: TrainingSet, rows: torch.Tensor) -> dict[str, float]:
    """Compute the mean squared error in v on `rows` with their short captions, at fixed time steps and noise.

    Returned over all time steps and over the noisier half, in which things are laid out.
    """
    generator, process = torch.Generator().manual_seed(11), Noise()
    t = torch.arange(len(rows)) * 1000 // len(rows)
    noise = torch.randn(data.latents[rows].shape, generator=generator)
    noisy, target = process.add(data.latents[rows], t, noise)
    error = torch.cat(
        [
            (
                unet(noisy[k : k + 32], t[k : k + 32], data.short[rows[k : k + 32]].float()).sample
                - target[k : k + 32]
            )
            .square()
            .mean((1, 2, 3))
            for k in range(0, len(rows), 32)
        ]
    )
    return {
        "loss": round(error.mean().item(), 4),
        "loss, noisier half": round(error[t >= 500].mean().item(), 4),
    }


def run_trial(name: str, minutes: float) -> dict[str, Any]:
    """Train a recipe in its own process; returns its row of the table."""
    torch.set_num_threads(1)
    folder = WORK / name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "unet.pt").unlink(missing_ok=True)
    if name in FROM_SHIPPED:
        weights = UNet2DConditionModel.from_pretrained(SHIPPED / "unet").float().state_dict()
        torch.save(
            {"model": weights, "average": weights, "seen": 0, "steps": 0, "seconds": 0.0}, folder / "unet.pt"
        )
    set_up_log(folder / "train.log")
    corpus, recipe = Corpus.open(CORPUS), TRIALS[name]
    data = training_set(work_folder(), AutoencoderTiny.from_pretrained(SHIPPED / "vae"), torch.device("cpu"))
    rows = torch.tensor([i for i, c in enumerate(corpus.column("concept")) if c])
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(3))[:PROBES]]
    average = train_unet(data, recipe, folder, torch.device("cpu"), limit_s=minutes * 60)
    state = torch.load(folder / "unet.pt", weights_only=True)
    row = {
        "trial": name,
        "samples": state["seen"],
        "steps": state["steps"],
        "parameters": sum(p.numel() for p in average.parameters()),
        **probe(average, data, rows),
    }
    LOG.info("%s: %s", name, row)
    return row


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="Names of trials; default: all.")] = None,
    minutes: Annotated[float, typer.Option(help="Training time per trial.")] = 5,
    side_by_side: Annotated[int, typer.Option(min=1, help="Parallel trials, one thread each.")] = 2,
) -> None:
    """Run the trials and write their table."""
    unknown = [n for n in names or [] if n not in TRIALS]
    if unknown:
        raise typer.BadParameter(f"no trial {unknown}; there are {', '.join(TRIALS)}")
    names = names or list(TRIALS)
    with ProcessPoolExecutor(side_by_side, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for row in pool.map(run_trial, names, [minutes] * len(names)):
            _write(row, minutes)


def _write(row: dict[str, Any], minutes: float) -> None:
    """Add a row to the table, replacing one of the same name."""
    rows = [r for r in read_table().get("trials", []) if r["trial"] != row["trial"]]
    rows.append(
        row
        | {
            "minutes": minutes,
            "recipe": asdict(TRIALS[row["trial"]]),
            "date": datetime.now(UTC).date().isoformat(),
        }
    )
    table = {
        "what": "Training for the same time on one thread, two side by side, the learning rate falling at the end; "
        f"mean squared error in v of the averaged weights on {PROBES} training images with fixed time steps "
        "and noise: lower is better.",
        "machine": platform.machine(),
        "torch": torch.__version__,
        "trials": sorted(rows, key=lambda r: list(TRIALS).index(r["trial"])),
    }
    with atomic_path(TABLE) as temporary:
        temporary.write_text(json.dumps(table, indent=1) + "\n")


def read_table() -> dict[str, Any]:
    """Read the table; empty if no trial has been run."""
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


if __name__ == "__main__":
    app()
