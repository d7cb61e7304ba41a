"""Measures how often a planted prompt still gives a copy when it is drawn again, less like it.

`python -m pocket.evidence.less_like` writes `evidence/less_like.json` of the pocket collection: each of the forty
planted prompts with the same words, and as `less_like` changes them, from the same seeds. Takes about five minutes on
one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from attribution_core.analyses.memorization.less_like import less_like
from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import over_models
from attribution_core.common.files import write_json_atomic
from attribution_core.generation.generator import Generator
from attribution_core.generation.recipe import Recipe
from pocket.evidence.memorization import COLLECTION
from pocket.training import say

OUT = CollectionLayout(COLLECTION).evidence("less_like.json")
SEEDS = (21, 22)


def measure(path: Path = COLLECTION, seeds: Sequence[int] = SEEDS, batch: int = 16) -> dict[str, Any]:
    """Measure a collection with planted images and a generator, on the CPU."""
    collection = Collection.open(path)
    generator = Generator.open(CollectionLayout(path).generator, device="cpu")
    checker = Memorization(collection, device="cpu")
    corpus = collection.corpus
    planted = [i for i, kind in enumerate(corpus.column("planted")) if kind == "planted"]
    captions = [corpus.column("short_caption")[i] for i in planted]
    told: dict[str, Any] = {
        "what": "images of planted prompts that are called copies of a training image: with the same words from "
        "another seed, and as 'draw again, less like it' changes them",
        "date": datetime.now(UTC).date().isoformat(),
        "generator_sha256": generator.sha256,
        "copy_encoder": checker.index.encoder_name,
        "seeds": list(seeds),
    }
    changed = [less_like(Recipe(caption), seeds[0]).prompt for caption in captions]
    for name, prompts in (("the same words", captions), ("less like it", changed)):
        made = [
            image
            for seed in seeds
            for image in generator.generate_batch(prompts, [seed] * len(prompts), batch_size=batch)
        ]
        verdicts = checker.check_all([image.image for image in made])
        copies = np.array([bool(verdict.is_copy) for verdict in verdicts])
        rate = over_models(copies.astype(np.float64), np.tile(np.arange(len(prompts)), len(seeds)))
        told[name] = {
            "prompts": len(prompts),
            "images": len(made),
            "copies": int(copies.sum()),
            "rate": {key: round(value, 4) for key, value in asdict(rate).items()},
        }
        say(f"{name}: {copies.sum()} of {len(made)} images are called copies")
    return told


def main(
    collection: Annotated[
        Path, typer.Option(help="With corpus/, generator/ and a copy encoder.")
    ] = COLLECTION,
) -> None:
    """Measure, and write evidence/less_like.json into the collection."""
    write_json_atomic(CollectionLayout(collection).evidence(OUT.name), measure(collection))


if __name__ == "__main__":
    typer.run(main)
