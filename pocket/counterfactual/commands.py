"""Measures what changes when training images are left out: `python -m pocket.counterfactual --help`.

In this order: `train` trains the models of the plan one after another, each in minutes on a core, has it draw the same
prompts, and computes its losses on the full model's drawings and on held-out ones; it can be stopped and called again,
and several calls with `--part` share the work. `score` has every method score all training images for both. `report`
compares scores with losses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import AutoencoderTiny
from PIL import Image

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.files import atomic_path, write_json_atomic
from attribution_core.corpus.corpus import Corpus
from pocket.counterfactual import scores
from pocket.counterfactual.data import Data
from pocket.counterfactual.groups import group_test
from pocket.counterfactual.lds import Floats, ceiling, lds, mean_of
from pocket.counterfactual.made import pixels
from pocket.counterfactual.models import load, train_and_measure
from pocket.counterfactual.plan import STYLES, Plan
from pocket.counterfactual.scores import Images, Named
from pocket.generator.autoencoder import encode
from pocket.generator.commands import text_model, text_states
from pocket.generator.denoiser import TrainingSet
from pocket.generator.looks import SIDE
from pocket.training import say, set_up_log, training_device

WORK = Path(".work/counterfactual")
CORPUS = Path(".work/corpus2")
SECOND_EDITION = Path("pocket/second_edition")
COLLECTION = Path("checkpoints/pocket")
ASKED = ("made", "held_out")
"""Queries: images that the full model makes, and drawings of concepts that no model sees."""
_CHOSEN_ON = 16  # the last of the halves, on which settings are chosen; the others judge them
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
        images = [corpus.image(int(row)).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for row in rows]
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
        short, long, empty = (
            text_states(tokenizer, encoder, texts) for texts in (*captions_of(corpus, rows), [""])
        )
        latents = encode(vae, pixels.contiguous(), device) * vae.config.scaling_factor
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
    queries = {"made": made, "held_out": _images(opened, data.plan.held_out, data.held_out)}
    full = load(next(data.plan.runs()), work, device)
    layout = CollectionLayout.read(COLLECTION)
    methods: dict[str, Callable[[Images, Images], Named]] = {"thumbnail": scores.thumbnail}
    for name in layout.methods:
        methods[name] = partial(scores.likeness, layout, name)
    for objective in scores.OBJECTIVES:
        methods[f"gradient of the {objective}"] = partial(scores.gradient, full, objective, device)
    methods |= {"patches": scores.patches, "forgetting": partial(scores.forgetting, full, device)}
    (work / "scores").mkdir(exist_ok=True)
    for name, method in methods.items():
        path = work / "scores" / f"{name}.npz"
        if path.exists():
            continue
        say(name)
        found = {
            f"{asked} {setting}": table
            for asked in ASKED
            for setting, table in method(queries[asked], training)
        }
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            tables: dict[str, Any] = {key: table.astype(np.float32) for key, table in found.items()}
            np.savez_compressed(file, **tables)


def _images(corpus: Corpus, rows: np.ndarray, data: TrainingSet) -> Images:
    return Images([corpus.image(int(row)) for row in rows], data.latents, data.short)


@app.command()
def report(
    work: Folder = WORK,
    corpus: CorpusFolder = CORPUS,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = WORK / "report.json",
) -> None:
    """Compare all scores with all losses, and write a table."""
    plan = plan_of(Corpus.open(corpus))
    measured = {path.stem: np.load(path) for path in sorted(work.glob("*.npz"))}
    tests = {
        asked: Losses(
            plan, {name: one[asked].mean(axis=1) for name, one in measured.items()}, drawn=asked == "made"
        )
        for asked in ASKED
    }
    table: dict[str, Any] = {
        asked: {"ceiling": test.ceiling(), "models": len(test.halves)} for asked, test in tests.items()
    }
    for path in sorted((work / "scores").glob("*.npz")):
        found = np.load(path)
        for asked, test in tests.items():
            settings = {
                key.removeprefix(asked).strip(): found[key].astype(float)
                for key in found.files
                if key.startswith(asked)
            }
            table[asked][path.stem] = dict(test.judged(settings))
    write_json_atomic(out, table)
    for asked, rows in table.items():
        for name, row in rows.items():
            say(f"{asked:9s} {name:40s} {row}")


class Losses:
    """The losses of queries under all models that are there."""

    def __init__(self, plan: Plan, loss: dict[str, Floats], drawn: bool) -> None:
        """loss: of each query, by the model's name. drawn: from captions of the concepts that models leave out."""
        self._loss = loss
        self._groups = {"style": [f"without-{style.replace(' ', '-')}" for style in STYLES]}
        if drawn:
            self._groups["concept"] = [f"without-{concept}" for concept in plan.left_out()]
        self.halves = [name for name in loss if name.startswith("half") and not name.endswith("again")]
        self._kept = {run.name: run.kept for run in plan.runs()}

    def ceiling(self) -> dict[str, float]:
        """Return what two seeds of the same halves agree in."""
        twice = [name for name in self.halves if f"{name}-again" in self._loss]
        if len(twice) < 3:
            return {}
        one, again = (np.stack([self._loss[name + end] for name in twice], axis=1) for end in ("", "-again"))
        return asdict(mean_of(ceiling(one, again)))

    def judged(self, settings: dict[str, Floats]) -> Iterator[tuple[str, Any]]:
        """Yield the setting that is best on some halves, and what all tests say of it.

        settings: scores (q, n) by setting; similarities and shares of a method count as two settings.
        """
        chosen = max(settings, key=lambda name: self._lds(settings[name], self.halves[-_CHOSEN_ON:]).mean())
        yield "setting", chosen
        yield "lds", asdict(mean_of(self._lds(settings[chosen], self.halves[:-_CHOSEN_ON])))
        for kind, names in self._groups.items():
            if {"full", *names} <= self._loss.keys():
                yield (
                    kind,
                    asdict(
                        group_test(
                            settings[chosen],
                            np.stack([~self._kept[name] for name in names]),
                            self._loss["full"],
                            np.stack([self._loss[name] for name in names], axis=1),
                        )
                    ),
                )

    def _lds(self, scores: Floats, names: list[str]) -> Floats:
        kept = np.stack([self._kept[name] for name in names])
        return lds(scores, kept, np.stack([self._loss[name] for name in names], axis=1))
