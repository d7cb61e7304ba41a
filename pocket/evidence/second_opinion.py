"""Measures which method ranks the true source first: `python -m pocket.evidence.second_opinion`.

Writes `evidence/second_opinion.json` of the pocket collection.

Twice, because the generator that ships does not know the exemplars: with images of planted prompts, which it was
trained on many times, and with models tuned on an exemplar, which then stands among 99 others. Unlearning reads words,
too, so each right image has a decoy: a drawing that nothing was trained on, with the right one's words.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from attribution_core.analyses.unlearning.forget import UnlearningSettings
from attribution_core.analyses.unlearning.second_opinion import (
    CANDIDATES,
    OTHERS,
    SecondOpinion,
    second_opinion,
)
from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import proportion
from attribution_core.common.files import write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit
from attribution_core.evidence.second_opinion import FILE
from attribution_core.generation.generator import Generator
from attribution_core.generation.tuning.customization import customize_many, customized
from attribution_core.generation.tuning.loop import Subject, prompt_for
from attribution_core.generation.tuning.pipeline_edits import TOKEN
from pocket.benchmark import make as benchmark
from pocket.benchmark.plan import Model, plan
from pocket.training import fast_arithmetic

COLLECTION = Path("checkpoints/pocket")
OUT = CollectionLayout(COLLECTION).evidence(FILE)
TOP = 10


@dataclass(frozen=True)
class OpinionSettings:
    """planted: prompts, of those that were planted. models: tuned ones, one image each. seed: of images and choices.

    tuning: how the benchmark tunes and draws.
    """

    planted: int = 12
    models: int = 12
    seed: int = 7
    tuning: benchmark.Settings = field(default_factory=benchmark.Settings)
    unlearning: UnlearningSettings = field(default_factory=UnlearningSettings)


def planted(
    attributor: Attributor, generator: Generator, held_out: Corpus, settings: OpinionSettings
) -> list[dict[str, Any]]:
    """Rank the sources of images of planted prompts by both methods."""
    corpus, usual = attributor.collection.corpus, generator.defaults
    kinds, captions = corpus.column("planted"), corpus.column("short_caption")
    sources = [i for i, kind in enumerate(kinds) if kind == "planted"]
    rng, told = np.random.default_rng(settings.seed), []
    decoys = rng.permutation(len(held_out))
    for k, source in enumerate(int(i) for i in rng.permutation(sources)[: settings.planted]):
        decoy = Added(held_out.image(int(decoys[k])), Credit(caption=captions[source]))
        image = generator.generate(captions[source], settings.seed, usual.steps, usual.guidance).image
        opinion = second_opinion(
            attributor, generator, image, captions[source], added=[decoy], settings=settings.unlearning
        )
        told.append({"source": corpus.credit(source).id} | places(opinion, source, len(corpus)))
        say(told)
    return told


def tuned(
    attributor: Attributor,
    generator: Generator,
    held_out: Corpus,
    models: Sequence[Model],
    settings: OpinionSettings,
) -> list[dict[str, Any]]:
    """Rank the exemplar of one image per tuned model by both methods, unlearning within the tuned model."""
    how, told = settings.tuning, []
    for model, before in zip(models, (models[-1], *models), strict=False):
        exemplar, other = (held_out.image(m.exemplars[0]) for m in (model, before))
        subject = Subject([exemplar], model.category, model.captions, seed=model.seed)
        words = Credit(caption=prompt_for("{token} {category}", model.category))
        prompt = prompt_for(model.prompts[0], model.category, TOKEN)
        with fast_arithmetic(torch.device("cpu")):
            learned = customize_many(generator, [subject], how.tuning(style=False))[0]
        with customized(generator, learned):
            image = generator.generate(prompt, model.seeds[0], how.steps, how.guidance).image
            opinion = second_opinion(
                attributor,
                generator,
                image,
                prompt,
                candidates=CANDIDATES - 1,
                added=[Added(exemplar, words), Added(other, words)],
                settings=settings.unlearning,
            )
        size = len(attributor.collection.index)
        told.append(
            {"exemplar": held_out.credit(model.exemplars[0]).id, "prompt": model.prompts[0]}
            | places(opinion, size, size + 1)
        )
        say(told)
    return told


def places(opinion: SecondOpinion, row: int, decoy: int) -> dict[str, Any]:
    """Where a position stands among all that were judged but the decoy; last where the list left it out.

    Ties count against it.
    """
    rises = {int(i): float(v) for i, v in zip(opinion.ids, opinion.change, strict=True)}
    opinion = without(opinion, decoy)
    found, place = np.flatnonzero(opinion.ids == row), {}
    for name, values in (("similarity", opinion.similarity), ("unlearning", opinion.change)):
        place[name] = int((values >= values[found[0]]).sum()) if len(found) else len(opinion) + 1
    above = opinion.above_random()
    return {
        "place": place,
        "judged": len(opinion),
        "agreement": opinion.agreement().value,
        "agreement on the list": opinion.agreement(listed_only=True).value,
        "listed above random": None if above is None else above.value,
        "above the decoy": row in rises and rises[row] > rises[decoy],
        "loss": [opinion.losses.query_before, opinion.losses.query_after],
    }


def without(opinion: SecondOpinion, row: int) -> SecondOpinion:
    """Return the attribution without one position."""
    kept = np.flatnonzero(opinion.ids != row)
    losses = replace(opinion.losses, before=opinion.losses.before[kept], after=opinion.losses.after[kept])
    return SecondOpinion(
        opinion.ids[kept],
        tuple(opinion.credits[k] for k in kept),
        opinion.listed[kept],
        opinion.similarity[kept],
        losses,
    )


def summary(rows: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Count how often each method ranks the true source first, and among the first `TOP`, with 95 % intervals."""
    first = {
        method: {
            f"first {k}": asdict(proportion(np.array([r["place"][method] <= k for r in rows])))
            for k in (1, TOP)
        }
        for method in ("similarity", "unlearning")
    }
    decoys = asdict(proportion(np.array([r["above the decoy"] for r in rows])))
    means = ("agreement", "agreement on the list", "listed above random")
    return {
        "images": len(rows),
        "found": first,
        "unlearning: above the decoy": decoys,
        "seconds an image": round(seconds / len(rows), 2),
        **{name: float(np.mean([r[name] for r in rows])) for name in means},
        "each": list(rows),
    }


def say(rows: Sequence[dict[str, Any]]) -> None:
    """Print the latest result on stderr."""
    sys.stderr.write(f"{len(rows)}: {json.dumps(rows[-1])}\n")


def main(
    collection: Annotated[Path, typer.Option(help="Collection folder with a generator.")] = COLLECTION,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = OUT,
    prompts: Annotated[int, typer.Option(min=1, help="Planted prompts.")] = OpinionSettings.planted,
    models: Annotated[int, typer.Option(min=2, help="Tuned models.")] = OpinionSettings.models,
) -> None:
    """Measure both methods."""
    settings = OpinionSettings(prompts, models)
    opened, layout = Collection.open(collection), CollectionLayout(collection)
    generator = Generator.open(layout.generator)
    attributor, corpus = Attributor(opened), layout.corpus
    held_out = Corpus.open(corpus, split="exemplars")
    unseen = [m for m in plan(held_out, settings.tuning.each) if m.split == "test_unseen_concept"]
    chosen = np.random.default_rng(settings.seed).permutation(len(unseen))[: settings.models]
    started = time.monotonic()
    by_planted = planted(attributor, generator, held_out, settings)
    between = time.monotonic()
    by_models = tuned(attributor, generator, held_out, [unseen[int(i)] for i in chosen], settings)
    ended = time.monotonic()
    write_json_atomic(
        out,
        {
            "what": f"where the right image stands among {CANDIDATES} candidates and {OTHERS} random training images, "
            "by similarity and by unlearning",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": platform.machine(),
            "generator_sha256": generator.sha256,
            "method": opened.method,
            "settings": asdict(settings),
            "planted": summary(by_planted, between - started),
            "tuned": summary(by_models, ended - between),
        },
    )


if __name__ == "__main__":
    typer.run(main)
