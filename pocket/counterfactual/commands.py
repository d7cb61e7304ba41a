"""Measures what changes when training images are left out: `python -m pocket.counterfactual --help`.

`train` trains the models of the plan one after another, each in minutes on a core; it can be stopped and called again,
and several calls with `--part` share the work. `measure` computes the denoising losses of training and held-out images
under every model that is there.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from diffusers import AutoencoderTiny

from attribution_core.common.files import atomic_path
from attribution_core.corpus.corpus import Corpus
from pocket.counterfactual.models import TIMES, load, losses, train
from pocket.counterfactual.plan import Plan
from pocket.generator.autoencoder import encode
from pocket.generator.commands import CORPUS, OUT, text_model, text_states, training_pixels
from pocket.generator.denoiser import TrainingSet
from pocket.training import say, set_up_log, training_device

WORK = Path(".work/counterfactual")
app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


def plan_of(corpus: Corpus) -> Plan:
    """Return the plan for a corpus."""
    return Plan.of(*(corpus.column(name) for name in ("style", "concept", "planted")))


def training_set(corpus: Corpus, rows: np.ndarray, device: torch.device) -> TrainingSet:
    """Return latents of the bundled autoencoder and text states of some images, in their order."""
    vae = AutoencoderTiny.from_pretrained(OUT / "vae").float()
    pixels = training_pixels(corpus)[torch.from_numpy(rows)]
    tokenizer, encoder = text_model(WORK)
    short, long = (
        text_states(tokenizer, encoder, [corpus.column(name)[row] for row in rows])
        for name in ("short_caption", "caption")
    )
    return TrainingSet(
        encode(vae.to(device), pixels, device) * vae.config.scaling_factor,
        short,
        long,
        text_states(tokenizer, encoder, [""]),
        torch.arange(len(rows)),
    )


@app.command(name="train")
def train_models(
    work: Annotated[Path, typer.Option(help="Folder of models.")] = WORK,
    part: Annotated[str, typer.Option(help="K/N: every Nth model from the Kth, 1 to N.")] = "1/1",
    minutes: Annotated[float | None, typer.Option(help="Begin no model after this time.")] = None,
) -> None:
    """Train the models that are not there yet."""
    set_up_log(work / "train.log")
    first, step = (int(number) for number in part.split("/"))
    corpus, device, start = Corpus.open(CORPUS), training_device(), time.monotonic()
    plan = plan_of(corpus)
    data = training_set(corpus, plan.rows, device)
    runs = list(plan.runs())[first - 1 :: step]
    for number, run in enumerate(runs, 1):
        if minutes is not None and time.monotonic() - start > 60 * minutes:
            break
        say(f"{run.name}, {number} of {len(runs)}")
        train(run, data, work, device)


@app.command()
def measure(
    work: Annotated[Path, typer.Option(help="Folder of models.")] = WORK,
) -> None:
    """Write losses.npz: `held_out` (models, images, times), `training` likewise, and the models' `names`."""
    corpus, device = Corpus.open(CORPUS), training_device()
    plan = plan_of(corpus)
    there = [run for run in plan.runs() if (work / f"{run.name}.safetensors").exists()]
    found: dict[str, list[np.ndarray]] = {"held_out": [], "training": []}
    images = {
        name: training_set(corpus, rows, device)
        for name, rows in (("held_out", plan.held_out), ("training", plan.rows))
    }
    for number, run in enumerate(there, 1):
        say(f"{run.name}, {number} of {len(there)}")
        model = load(run, work, device)
        for name, data in images.items():
            found[name].append(losses(model, data.latents, data.short, device))
    with atomic_path(work / "losses.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, names=[run.name for run in there], times=TIMES, **{k: np.array(v) for k, v in found.items()}
        )
