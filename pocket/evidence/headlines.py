"""Measures what headlines say and how often it is right: `python -m pocket.evidence.headlines`.

"Stands out": on images of tuned models, whose exemplars join the candidates, how often the rule fires and how often the
image that it names is an exemplar. All patterns: on images that the generator draws from training captions, how often
each is said, and how often it agrees with the caption.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.finding import LISTED, Pattern, find, subject_words
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.corpus.credit import Credit
from attribution_core.evidence.benchmark import Evidence
from attribution_core.generation.generator import Generator
from pocket.benchmark.plan import TEST_SPLITS
from pocket.generator.commands import POCKET

_SEED = 20


def standing_out(attributor: Attributor, evidence: Evidence, every: int) -> Iterator[dict[str, object]]:
    """One row a split and kind of model: images, how often one stands out, and how often it is an exemplar."""
    n_training = len(attributor.collection.index)
    for split in ("validation", *TEST_SPLITS):
        counts: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
        for model in evidence.models(split):
            row, added = counts[bool(model.more["style"])], evidence.exemplars(model)
            for path in [p for paths in model.made.values() for p in paths][::every]:
                result = attributor.attribute(evidence.images[path], LISTED, added=added)
                row["images"] += 1
                if result.stands_out:
                    row["stands out"] += 1
                    row["right"] += int(result.ids[result.works[0].places[0]]) >= n_training
        for style, row in counts.items():
            if row["images"]:
                yield {"split": split, "models": "styles" if style else "things", **row}


def patterns(attributor: Attributor, generator: Generator, prompts: int) -> dict[str, dict[str, int]]:
    """For each pattern: how often it was said, and how often what it names shares its subject with the caption."""
    corpus = attributor.collection.corpus
    captions = sorted({caption for caption in corpus.column("short_caption") if caption})
    chosen = random.Random(_SEED).sample(captions, min(prompts, len(captions)))
    said: dict[str, Counter[str]] = {str(pattern): Counter() for pattern in Pattern}
    usual = generator.defaults
    for seed, caption in enumerate(chosen):
        drawn = generator.generate(caption, seed, usual.steps, usual.guidance)
        result = attributor.attribute(drawn.image, LISTED)
        row = said[str(find(result).pattern)]
        row["said"] += 1
        row["agrees"] += _agrees(result, set(subject_words(Credit(short_caption=caption))))
    return {name: dict(row) for name, row in said.items()}


def _agrees(result: Attribution, wanted: set[str]) -> bool:
    found = find(result)
    if found.theme:
        return found.theme in wanted
    named = [result.credits[result.works[place].places[0]] for place in found.places]
    return any(wanted & set(subject_words(credit)) for credit in named)


def main(
    every: Annotated[int, typer.Option(min=1, help="Use every N-th image of each tuned model.")] = 3,
    prompts: Annotated[int, typer.Option(min=1, help="Captions to draw.")] = 100,
) -> None:
    """Print one JSON line a row."""
    collection = Collection.open(POCKET.folder)
    evidence, path = Evidence.open(collection.path), collection.generator_path
    assert evidence is not None and path is not None  # the pocket collection has both
    attributor = Attributor(collection, "cpu")
    for row in standing_out(attributor, evidence, every):
        typer.echo(json.dumps(row))
    typer.echo(json.dumps(patterns(attributor, Generator.open(Path(path), "cpu"), prompts)))


if __name__ == "__main__":
    typer.run(main)
