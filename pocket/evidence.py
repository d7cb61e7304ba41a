"""Learns mappers and a temperature from the pocket benchmark, and tells what they reach: `python -m pocket.evidence`.

Mappers and encoder are chosen on validation models, the temperature is fitted on them, and the test models say what it
is worth: tables, reliability, agreement of metrics, and how often tuning took.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.cards import atomic_path, read_card, write_json_atomic
from attribution_core.evaluation import rank_agreement, to_csv, to_json, to_markdown
from pocket.addone import say
from pocket.benchmark_plan import TEST_SPLITS
from pocket.learn import (
    LINEAR,
    VARIANTS,
    Benchmark,
    Features,
    Variant,
    as_json,
    calibrate,
    judge,
    learn,
    tuning_took,
)

COLLECTION = Path("checkpoints/pocket")
OUT = Path(".work/evidence")
WORK = Path(".work/features")
ENCODERS = {"efficientnet-lite0": VARIANTS, "rgb-thumbnail": (LINEAR,)}  # what is learned on the features of each
BASELINE = "rgb-thumbnail"  # there to be beaten, never chosen
EVIDENCE = "evidence.json"


def gather(
    collection: Path,
    out: Path,
    work: Path,
    encoders: Mapping[str, Sequence[Variant]] = ENCODERS,
    epochs: int = 100,
) -> None:
    """Write mappers/, calibrator/, tables.* and evidence.json into `out`.

    collection: folder with corpus/ and benchmark/. work: where features are kept. encoders: variants to learn for each.
    """
    benchmark = Benchmark(collection / "benchmark", collection / "corpus", work, say)
    features = {name: Features(name, benchmark) for name in encoders}
    learned = {name: learn(features[name], variants, say, epochs=epochs) for name, variants in encoders.items()}
    scores = [score for found in learned.values() for score in found.scores]
    encoder = max((name for name in encoders if name != BASELINE),
                  key=lambda name: learned[name].trained[learned[name].best].best.reciprocal_rank)
    variant, seen = learned[encoder].best, features[encoder]
    chosen = learned[encoder].trained[variant]
    calibrator = calibrate(seen.case("validation"), chosen.pair, seen.training)
    card = read_card(benchmark.folder)
    made_from = {"benchmark_sha256": card["files"], "generator_sha256": card["generator_sha256"]}
    chosen.pair.save(out / "mappers", {
        **chosen.card(), "variant": variant, "data": "the benchmark's split 'train'", **made_from,
        "licence": "Apache-2.0"})
    calibrator.save(out / "calibrator", {
        "data": "the benchmark's split 'validation'", "mappers": variant, **made_from,
        "candidates": len(seen.training), "licence": "Apache-2.0"})
    for ending, text in (("md", to_markdown(scores)), ("csv", to_csv(scores)), ("json", to_json(scores))):
        with atomic_path(out / f"tables.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json_atomic(out / EVIDENCE, as_json({
        "encoder": encoder, "mappers": variant, "temperature": calibrator.temperature_, **made_from,
        "validation": {name: {"pretrained": next(iter(found.trained.values())).untrained}
                       | {v: t.best.reciprocal_rank for v, t in found.trained.items()}
                       for name, found in learned.items()},
        "calibration": [judge(calibrator, seen.case(split), chosen.pair, seen.training) for split in TEST_SPLITS],
        "rank_agreement": rank_agreement(scores),
        "tuning_took": {split: tuning_took(seen, benchmark, split) for split in TEST_SPLITS},
    }))
    say(f"{encoder}, {variant}: see {out}")


def main(
    collection: Annotated[Path, typer.Option(help="Folder with corpus/ and benchmark/.")] = COLLECTION,
    out: Annotated[Path, typer.Option(help="Where mappers, calibrator and tables are written.")] = OUT,
    work: Annotated[Path, typer.Option(help="Features are kept here.")] = WORK,
    epochs: Annotated[int, typer.Option(help="Of each fit of mappers.")] = 100,
) -> None:
    """Learn, choose, calibrate, and tell."""
    gather(collection, out, work, epochs=epochs)


if __name__ == "__main__":
    typer.run(main)
