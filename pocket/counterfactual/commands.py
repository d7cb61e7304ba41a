"""Measures what changes when training images are left out: `python -m pocket.counterfactual --help`.

In this order: `train` trains the models of the plan one after another, each in minutes on a core, has it draw the same
prompts, and computes its losses on the full model's drawings and on held-out ones; it can be stopped and called again,
and several calls with `--part` share the work. `score` has every method score all training images for both. `report`
compares scores with losses.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import AutoencoderTiny

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.files import atomic_path, write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.evidence import counterfactual
from pocket.counterfactual import scores
from pocket.counterfactual.data import Data
from pocket.counterfactual.made import pixels
from pocket.counterfactual.models import load, train_and_measure
from pocket.counterfactual.plan import Plan
from pocket.counterfactual.report import ASKED, sheets, table
from pocket.counterfactual.scores import Images, joined
from pocket.generator.autoencoder import encode
from pocket.generator.commands import text_model, text_states
from pocket.generator.denoiser import TrainingSet
from pocket.generator.looks import plain_look
from pocket.training import say, set_up_log, training_device

WORK = Path(".work/counterfactual")
CORPUS = Path(".work/corpus2")
SECOND_EDITION = Path("pocket/second_edition")  # unfinished weights: nothing that ships is made from them
COLLECTION = Path("checkpoints/pocket")
Folder = Annotated[Path, typer.Option(help="Folder of models and measurements.")]
CorpusFolder = Annotated[Path, typer.Option(help="The second edition's corpus.")]
app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


def plan_of(corpus: Corpus) -> Plan:
    """Return the plan for a corpus."""
    return Plan.of(*(corpus.column(name) for name in ("style", "concept", "planted")))


def data_of(corpus: Corpus, device: torch.device) -> Data:
    """Return latents and text states of the images of a corpus that its plan names."""
    plan, vae, (tokenizer, encoder) = plan_of(corpus), autoencoder().to(device), text_model(WORK)

    def examples(rows: np.ndarray) -> TrainingSet:
        pixels = torch.from_numpy(np.stack([plain_look(corpus.image_bytes(int(row))) for row in rows]))
        short, long, empty = (
            text_states(tokenizer, encoder, texts) for texts in (*captions_of(corpus, rows), [""])
        )
        latents = encode(vae, pixels, device) * vae.config.scaling_factor
        return TrainingSet(latents, short, long, empty, torch.arange(len(rows)))

    return Data(plan, examples(plan.rows), examples(plan.held_out))


def captions_of(corpus: Corpus, rows: np.ndarray) -> tuple[list[str], list[str]]:
    """Return the short and the long captions of some images."""
    short, long = ([corpus.column(name)[row] for row in rows] for name in ("short_caption", "caption"))
    return short, long


def autoencoder() -> AutoencoderTiny:
    """Return the second edition's autoencoder."""
    return AutoencoderTiny.from_pretrained(SECOND_EDITION / "vae").float()


@app.command(name="train")
def train_models(
    work: Folder = WORK,
    corpus: CorpusFolder = CORPUS,
    part: Annotated[str, typer.Option(help="K/N: every Nth model from the Kth, 1 to N.")] = "1/1",
    minutes: Annotated[float | None, typer.Option(help="Begin no model after this time.")] = None,
) -> None:
    """Train the models that are not there yet, and write what each draws and its losses."""
    set_up_log(work / "train.log")
    device, begun = training_device(), time.monotonic()
    data = data_of(Corpus.open(corpus), device)
    until = None if minutes is None else begun + 60 * minutes
    train_and_measure(data, work, device, part, until)


@app.command()
def score(work: Folder = WORK, corpus: CorpusFolder = CORPUS) -> None:
    """Write each method's scores, unless they are there."""
    opened, device = Corpus.open(corpus), training_device()
    data = data_of(opened, device)
    training = _images(opened, data.plan.rows, data.training)
    drawn = torch.from_numpy(np.load(work / "full.npz")["drawn"]).float()
    made = Images(list(pixels(autoencoder(), drawn)), drawn, data.prompts)
    queries = joined([made, _images(opened, data.plan.held_out, data.held_out)])  # in the order of `ASKED`
    full = load(next(data.plan.runs()), work, device)
    methods = scores.methods(CollectionLayout.read(COLLECTION), full, device)
    (work / "scores").mkdir(exist_ok=True)
    for name, method in methods.items():
        path = work / "scores" / f"{name}.npz"
        if path.exists():
            continue
        say(name)
        tables: dict[str, Any] = {}
        for setting, rows in method(queries, training):
            for asked, part in zip(ASKED, np.split(rows, [len(drawn)]), strict=True):
                tables[f"{asked} {setting}"] = part.astype(np.float32)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **tables)


def _images(corpus: Corpus, rows: np.ndarray, data: TrainingSet) -> Images:
    return Images([corpus.image(int(row)) for row in rows], data.latents, data.short)


@app.command()
def report(
    work: Folder = WORK,
    corpus: CorpusFolder = CORPUS,
    out: Annotated[Path, typer.Option(help="The collection whose evidence it is.")] = COLLECTION,
) -> None:
    """Compare all scores with all losses; write a table, and what models draw that lack a style."""
    opened = Corpus.open(corpus)
    plan, captions = plan_of(opened), opened.column("short_caption")
    measured = {path.stem: np.load(path) for path in sorted(work.glob("*.npz"))}
    scored = {path.stem: np.load(path) for path in sorted((work / "scores").glob("*.npz"))}
    evidence = CollectionLayout(out).evidence
    write_json_atomic(evidence(counterfactual.FILE), table(plan, captions, measured, scored))
    for style, sheet in sheets(plan, measured, autoencoder()):
        with atomic_path(evidence(counterfactual.sheet(style))) as temporary:
            sheet.save(temporary, "WEBP", quality=85)
