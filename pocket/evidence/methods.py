"""Learns mappers and temperatures from the pocket benchmark, and evaluates them: `python -m pocket.evidence`.

Writes the collection around them: its own method, the one that does best on validation models; the other methods; and
`evidence/`, what the test models say of all of them: tables, reliability, agreement of metrics, and how often tuning
took. Temperatures are fitted on the validation models.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from attribution_core.add_one_in.evaluation import rank_agreement, to_csv, to_json, to_markdown
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.collection.options import COPY_ENCODER
from attribution_core.common.cards import read_card
from attribution_core.common.files import atomic_path, write_json_atomic
from attribution_core.evidence.benchmark import FILE
from attribution_core.figures.evidence import PRETRAINED
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator
from pocket.benchmark.plan import TEST_SPLITS
from pocket.encoders import sscd
from pocket.evidence.learn import (
    LIGHT,
    VARIANTS,
    Benchmark,
    Features,
    Learned,
    Variant,
    as_json,
    calibrate,
    judge,
    learn,
    tuning_took,
)
from pocket.training import say

COLLECTION = Path("checkpoints/pocket")
WORK = Path(".work/features")
BASELINE = "rgb-thumbnail"  # a baseline, not a selectable method
LEARNED = "learned"
# What is learned on the features of each encoder.
ENCODERS = {
    "pocket-clip": VARIANTS,
    "pocket-clip-rgb": LIGHT,
    "pocket-sscd": VARIANTS,
    "efficientnet-lite0": LIGHT,
    BASELINE: LIGHT,
}
# Which of them become methods to choose, as they are or learned; the others stand in the tables alone.
SHIPPED = {
    "pocket-clip": (PRETRAINED, LEARNED),
    "pocket-clip-rgb": (LEARNED,),
    "pocket-sscd": (PRETRAINED,),
    "efficientnet-lite0": (PRETRAINED,),
}
# Of a few hundred models, not of thousands as in the paper: smaller batches and more epochs, for as many steps.
EPOCHS, BATCH = 400, 128
LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Choice:
    """A method of the collection, with its temperature and the card of its mappers.

    reached: mean of 1 / place of the right exemplar among those of the validation models.
    """

    encoder: str
    mapper: str
    pair: MapperPair
    calibrator: Calibrator
    card: Mapping[str, Any]
    reached: float

    @property
    def name(self) -> str:
        """The method's name in the collection."""
        return f"{self.encoder}, {self.mapper}"


def choices(learned: Mapping[str, Learned], features: Mapping[str, Features]) -> Iterator[Choice]:
    """Return each encoder's methods: without mappers, and with the best mappers on validation."""
    for name, found in learned.items():
        shipped = SHIPPED.get(name, ())
        seen, best = features[name], found.trained[found.best]
        pairs: list[tuple[str, MapperPair, Mapping[str, Any], float]] = []
        if PRETRAINED in shipped:
            pairs.append((PRETRAINED, MapperPair.identity(best.pair.dim, name), {}, best.untrained))
        if LEARNED in shipped:
            pairs.append((found.best, best.pair, best.card(), best.best.reciprocal_rank))
        for mapper, pair, card, reached in pairs:
            yield Choice(
                name, mapper, pair, calibrate(seen.case("validation"), pair, seen.training), card, reached
            )


def gather(
    collection: Path,
    work: Path,
    encoders: Mapping[str, Sequence[Variant]] = ENCODERS,
    epochs: int = EPOCHS,
    batch: int = BATCH,
) -> Collection:
    """Learn, choose, calibrate, tell; returns the collection as it is opened.

    collection: folder with corpus/ and benchmark/. work: where features are kept. encoders: variants to learn for each.
    epochs, batch: of each fit.
    """
    layout = CollectionLayout(collection)
    benchmark = Benchmark(layout.benchmark, layout.corpus, work, say)
    features = {name: Features(name, benchmark) for name in encoders}
    learned = {
        name: learn(features[name], variants, say, epochs=epochs, batch=batch)
        for name, variants in encoders.items()
    }
    methods = list(choices(learned, features))
    own = max(methods, key=lambda method: method.reached)
    card = read_card(benchmark.folder)
    made_from = {"benchmark_sha256": card["files"], "generator_sha256": card["generator_sha256"]}
    training = features[own.encoder].training
    opened = Collection.create(
        collection,
        name="Pocket",
        encoder=own.encoder,
        features=training,
        mappers=own.pair,
        calibrator=own.calibrator,
        card={
            "what": f"{len(training):,} drawings with captions and credits, a small diffusion model trained on them "
            "and on nothing else, and everything needed to attribute one to the other.",
            "method": own.name,
            COPY_ENCODER: sscd.NAME,
            "licence": f"{LICENCE} for mappers, index and calibrator; images as in corpus/card.json",
        },
    )
    shutil.rmtree(layout.methods_folder, ignore_errors=True)
    for method in methods:
        if method is not own:
            opened.add_method(
                method.name,
                encoder=method.encoder,
                mappers=method.pair,
                features=features[method.encoder].training,
            )
        method.pair.save(
            opened.layout.mappers(method.name),
            {
                **method.card,
                "variant": method.mapper,
                "data": "the benchmark's split 'train'",
                **made_from,
                "licence": LICENCE,
            },
        )
        method.calibrator.save(
            opened.layout.calibrator(method.name),
            {
                "data": "the benchmark's split 'validation'",
                "mappers": method.mapper,
                **made_from,
                "candidates": len(features[method.encoder].training),
                "licence": LICENCE,
            },
        )
        if method is not own:  # takes 4 to 20 MB, and is computed again on first use
            TrainingIndex.discard(opened.layout.index(method.name))
    _tell(layout, benchmark, features, learned, methods, own, made_from)
    return Collection.open(collection)


def _tell(
    layout: CollectionLayout,
    benchmark: Benchmark,
    features: Mapping[str, Features],
    learned: Mapping[str, Learned],
    methods: Sequence[Choice],
    own: Choice,
    made_from: Mapping[str, Any],
) -> None:
    scores = [score for found in learned.values() for score in found.scores]
    for ending, text in (("md", to_markdown(scores)), ("csv", to_csv(scores)), ("json", to_json(scores))):
        with atomic_path(layout.evidence(f"tables.{ending}")) as temporary:
            temporary.write_text(text, encoding="utf-8")
    told = []
    for method in methods:
        seen = features[method.encoder]
        judged = [
            judge(method.calibrator, seen.case(split), method.pair, seen.training) for split in TEST_SPLITS
        ]
        told.append(
            {
                "name": method.name,
                "encoder": method.encoder,
                "mapper": method.mapper,
                "temperature": method.calibrator.temperature_,
                "calibrated": judged,
            }
        )
    write_json_atomic(
        layout.evidence(FILE),
        as_json(
            {
                "date": datetime.now(UTC).date().isoformat(),
                "machine": platform.machine(),
                "own": own.name,
                "candidates": len(features[own.encoder].training),
                **made_from,
                "methods": told,
                "scores": scores,
                "validation": {
                    name: {PRETRAINED: next(iter(found.trained.values())).untrained}
                    | {v: t.best.reciprocal_rank for v, t in found.trained.items()}
                    for name, found in learned.items()
                },
                "rank_agreement": rank_agreement(scores),
                "tuning_took": {
                    split: tuning_took(features[own.encoder], benchmark, split) for split in TEST_SPLITS
                },
            }
        ),
    )
    say(f"{own.name}: see {layout.evidence(FILE)}")


def main(
    collection: Annotated[Path, typer.Option(help="Folder with corpus/ and benchmark/.")] = COLLECTION,
    work: Annotated[Path, typer.Option(help="Folder of cached features.")] = WORK,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs per fit of mappers.")] = EPOCHS,
) -> None:
    """Learn mappers, select methods, fit temperatures, and evaluate them."""
    gather(collection, work, epochs=epochs)
