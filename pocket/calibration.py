"""Fits the pocket collection's temperature on add-one-in queries: `python -m pocket.calibration --help`.

Tunes the pocket generator on single held-out exemplars, makes images with prompts that tuning never saw, and
fits the calibrator on two thirds of the models. What it reaches on the other third, beside the 16 x 16
thumbnail baseline and images made without tuning, goes into the calibrator's card.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from attribution_core.calibration import Calibrator
from attribution_core.cards import atomic_path, write_json_atomic
from attribution_core.corpus import Corpus
from attribution_core.encoders import load_encoder
from attribution_core.errors import NotFittedError
from attribution_core.evaluation import RECALL_AT, Score, over_models
from attribution_core.evidence_figures import PRETRAINED
from attribution_core.generation import Generator
from attribution_core.index import TrainingIndex
from attribution_core.mappers import MapperPair
from pocket.addone import AddOneSettings, Made, make_all, say
from pocket.collection import ENCODER, OTHERS, method_name
from pocket.encoder_report import unit_rows
from pocket.learn import Candidates, as_json, judge_candidates

COLLECTION = Path("checkpoints/pocket")
WORK = Path(".work/calibration")
BASELINE = "rgb-thumbnail"  # told beside them: layout alone would satisfy it
CASE, KIND = "held_out", "written"
_BLOCK = 512
Rows = NDArray[np.float32]

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


@dataclasses.dataclass(frozen=True)
class Queries:
    """Similarities of queries to the training images and, in the last column, to their own exemplar.

    similarity: (q, n + 1). model: (q,) number of the model that made each query. held_out: (q,) bool.
    """

    similarity: Rows = dataclasses.field(repr=False)
    model: NDArray[np.int64]
    held_out: NDArray[np.bool_]

    def of(self, held_out: bool) -> Queries:
        """The part that tests (True) or fits (False)."""
        kept = self.held_out == held_out
        return Queries(self.similarity[kept], self.model[kept], self.held_out[kept])

    @property
    def is_exemplar(self) -> NDArray[np.bool_]:
        """(q, n + 1): true in the last column."""
        marks = np.zeros(self.similarity.shape, dtype=bool)
        marks[:, -1] = True
        return marks

    @property
    def candidates(self) -> Candidates:
        """The same as `pocket.learn` takes them."""
        return Candidates(self.similarity, self.is_exemplar, self.model)

    @property
    def rank(self) -> NDArray[np.int64]:
        """(q,) place of the exemplar among all, from 1; equal similarities count against it."""
        return 1 + (self.similarity[:, :-1] >= self.similarity[:, -1:]).sum(axis=1)


@dataclasses.dataclass(frozen=True)
class Features:
    """How one encoder sees the training images. map_training, map_query: (n, d) raw -> (n, m) unit rows.

    scan: (q, m) -> (q, n) similarities to all training images, in any order.
    """

    encoder: Any
    map_training: Callable[[Rows], Rows]
    map_query: Callable[[Rows], Rows]
    scan: Callable[[Rows], Rows]


def of_collection(collection: Path) -> Features:
    """The collection's own encoder, mappers and index: what the app computes."""
    pair = MapperPair.load(collection / "mappers", encoder=ENCODER)
    index = TrainingIndex.load(collection / "index", encoder=ENCODER)
    return Features(
        load_encoder(ENCODER),
        pair.map_training,
        pair.map_query,
        lambda queries: index.search(queries, top=len(index)).similarity,
    )


def of_encoder(name: str, corpus: Corpus) -> Features:
    """Another encoder as it is, without mappers."""
    encoder = load_encoder(name)
    blocks = range(0, len(corpus), _BLOCK)
    rows = [encoder.encode([corpus.image(i) for i in range(k, min(k + _BLOCK, len(corpus)))]) for k in blocks]
    train = unit_rows(np.concatenate(rows))
    return Features(encoder, unit_rows, unit_rows, lambda queries: queries @ train.T)


def compare(features: Features, exemplars: Corpus, made: list[Made], tuned: bool) -> Queries:
    """Similarities of what the models made (tuned), or of what is made without tuning."""
    pictures = [(m, p) for m in made for p in (m.tuned if tuned else m.untuned)]
    encode = features.encoder.encode
    queries = features.map_query(encode([Image.fromarray(p) for _, p in pictures]))
    own = features.map_training(encode([exemplars.image(m.task.exemplar) for m in made]))
    place = {m.task.number: i for i, m in enumerate(made)}
    to_own = np.array([q @ own[place[m.task.number]] for q, (m, _) in zip(queries, pictures, strict=True)])
    return Queries(
        np.concatenate([features.scan(queries), to_own[:, None]], axis=1).astype(np.float32),
        np.array([m.task.number for m, _ in pictures]),
        np.array([m.task.held_out for m, _ in pictures]),
    )


def ranking(queries: Queries) -> dict[str, float]:
    """Recall at 1, 10 and 100 and the exemplar's median rank."""
    rank = queries.rank
    recall = {f"recall@{k}": round(float((rank <= k).mean()), 4) for k in RECALL_AT}
    return {**recall, "median_rank": float(np.median(rank))}


def interval(
    values: NDArray[np.float64], model: NDArray[np.int64], seed: int, draws: int = 2000
) -> list[float]:
    """Mean over queries with its 95 % bootstrap interval over models: [mean, low, high].

    values, model: (q,). Whole models are drawn, because the queries of one model are alike.
    """
    means = np.array([values[model == m].mean() for m in np.unique(model)])
    rng = np.random.default_rng(seed)
    drawn = means[rng.integers(0, len(means), size=(draws, len(means)))].mean(axis=1)
    return [round(float(v), 4) for v in (means.mean(), *np.quantile(drawn, (0.025, 0.975)))]


def evaluate(encoder: str, tuned: Queries, untuned: Queries, seed: int) -> tuple[Calibrator, dict[str, Any]]:
    """Fit on the models that are not held out; figures of those that are."""
    fit, test = tuned.of(held_out=False), tuned.of(held_out=True)
    calibrator = Calibrator(encoder).fit(fit.similarity, fit.is_exemplar)
    after = calibrator.nll(test.similarity, test.is_exemplar)
    before = calibrator.nll(test.similarity, test.is_exemplar, temperature=1.0)
    figures = {
        "temperature": calibrator.temperature_,
        "held_out_nll_uniform": round(float(np.log(test.similarity.shape[1])), 4),
        "held_out_nll_before": interval(before, test.model, seed),
        "held_out_nll_after": interval(after, test.model, seed),
        "held_out_nll_gain": interval(before - after, test.model, seed),
        "fit_nll_after": round(float(calibrator.nll(fit.similarity, fit.is_exemplar).mean()), 4),
        "held_out_tuned": ranking(test),
        "held_out_untuned": ranking(untuned.of(held_out=True)),
        "fit_tuned": ranking(fit),
    }
    return calibrator, figures


def evidence(calibrators: dict[str, Calibrator], tuned: dict[str, Queries]) -> dict[str, Any]:
    """What the tab Evidence reads: every encoder's ranks of held-out exemplars, and the influences of the methods.

    calibrators: of each encoder that is a method. tuned: images of the held-out models as each encoder sees them.
    """
    scores = []
    for name, queries in tuned.items():
        recall = tuple(over_models((queries.rank <= k).astype(float), queries.model) for k in RECALL_AT)
        scores.append(Score(name, PRETRAINED, CASE, KIND, len(np.unique(queries.model)), len(queries.model), recall,
                            (1.0,) * len(RECALL_AT), over_models(1 / queries.rank, queries.model)))
    methods = [{"name": method_name(name), "encoder": name, "mapper": PRETRAINED, "temperature": c.temperature_,
                "calibrated": [judge_candidates(c, CASE, tuned[name].candidates)]} for name, c in calibrators.items()]
    return {"own": method_name(ENCODER), "scores": scores, "methods": methods}


def contact_sheet(made: list[Made], exemplars: Corpus, path: Path) -> None:
    """One row a held-out model: exemplar, tuned images, then untuned ones of the same prompts and seeds."""
    rows = []
    for m in (m for m in made if m.task.held_out):
        side = m.tuned.shape[1]
        first = np.asarray(exemplars.image(m.task.exemplar).resize((side, side)))
        gap = np.full((side, side // 8, 3), 128, np.uint8)
        rows.append(np.concatenate([first, gap, *m.tuned, gap, *m.untuned], axis=1))
    with atomic_path(path) as partial:
        Image.fromarray(np.concatenate(rows)).save(partial)
    say(f"look at {path}: exemplar, tuned, untuned")


def run(collection: Path, out: Path, work: Path, settings: AddOneSettings, workers: int) -> dict[str, Any]:
    """The whole recipe; returns the card's figures. Raises `NotFittedError` where no temperature fits."""
    folder, corpus_folder = collection / "generator", collection / "corpus"
    made = make_all(folder, corpus_folder, work, settings, workers)
    train, exemplars = Corpus.open(corpus_folder), Corpus.open(corpus_folder, split="exemplars")
    contact_sheet(made, exemplars, work / "sheet.png")
    features = {ENCODER: of_collection(collection)} | {name: of_encoder(name, train) for name in (BASELINE, *OTHERS)}
    results: dict[str, Any] = {}
    tested: dict[str, Queries] = {}
    fitted: dict[str, Calibrator] = {}
    for name, seen in features.items():
        tuned, untuned = (compare(seen, exemplars, made, tuned=t) for t in (True, False))
        tested[name] = tuned.of(held_out=True)
        try:
            fitted[name], results[name] = evaluate(name, tuned, untuned, settings.seed)
        except NotFittedError as error:
            if name == ENCODER:
                raise
            # It is only reported, so its failure is a figure too.
            results[name] = {"not_fitted": str(error), "held_out_tuned": ranking(tested[name])}
    say(json.dumps(results, indent=2))
    generator = Generator.open(folder)
    held_out = sum(m.task.held_out for m in made)
    card = {
        "data": "add-one-in queries: the pocket generator tuned on single exemplars that it never saw",
        "settings": dataclasses.asdict(settings),
        "seed": settings.seed,
        "generator": generator.name,
        "generator_sha256": generator.sha256,
        "candidates": len(train) + 1,
        "models": {"fit": len(made) - held_out, "held_out": held_out},
        "exemplars": {
            split: _exemplar_ids(made, exemplars, split == "held_out") for split in ("fit", "held_out")
        },
        "metrics": results,
        "intervals": "mean, low, high: 95 % bootstrap over models",
        "seconds": round(sum(m.seconds for m in made)),
        "machine": platform.machine(),
        "licence": "Apache-2.0",
    }
    fitted[ENCODER].save(out, card)
    fitted.pop(BASELINE, None)
    for name in OTHERS:
        parts = collection / "methods" / method_name(name)
        if name in fitted and parts.exists():
            fitted[name].save(parts / "calibrator", card)
    write_json_atomic(out.parent / "evidence/evidence.json", as_json(evidence(fitted, tested)))
    return card


def _exemplar_ids(made: list[Made], exemplars: Corpus, held_out: bool) -> list[str]:
    ids = exemplars.column("id")
    return [ids[m.task.exemplar] for m in made if m.task.held_out == held_out]


@app.command()
def main(
    collection: Annotated[Path, typer.Option(help="Folder with corpus/ and generator/.")] = COLLECTION,
    out: Annotated[
        Path | None, typer.Option(help="Where it is written; default COLLECTION/calibrator.")
    ] = None,
    work: Annotated[
        Path, typer.Option(help="Finished models are kept here; a run goes on from them.")
    ] = WORK,
    models: Annotated[int, typer.Option(help="How many exemplars.")] = AddOneSettings.models,
    images: Annotated[int, typer.Option(help="Images of each model.")] = AddOneSettings.images,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = AddOneSettings.steps,
    iterations: Annotated[int, typer.Option(help="Tuning iterations.")] = AddOneSettings.iterations,
    batch_size: Annotated[int, typer.Option(help="Tuning batch.")] = AddOneSettings.batch_size,
    learning_rate: Annotated[float, typer.Option(help="Tuning rate.")] = AddOneSettings.learning_rate,
    seed: Annotated[int, typer.Option(help="Fixes exemplars, prompts and noise.")] = AddOneSettings.seed,
    workers: Annotated[int, typer.Option(help="Processes; each takes its share of the cores.")] = 2,
) -> None:
    """Make the queries, fit, evaluate and write the calibrator."""
    settings = AddOneSettings(
        models,
        images,
        steps,
        iterations=iterations,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    run(collection, out or collection / "calibrator", work, settings, workers)


if __name__ == "__main__":
    app()
