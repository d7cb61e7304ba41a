"""Measures what the pocket generator memorized and how well it is detected: `python -m pocket.evidence.memorization`.

The ground truth is planted: forty training images were repeated in training on purpose, forty matched ones were not.
Are images of planted prompts detected as copies, also after changes, and those of the others not? Does
the noise signal stand out during generation? Takes about five minutes on one core.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from attribution_core.add_one_in.metrics import area_under_curve
from attribution_core.analyses.memorization.alignment import align
from attribution_core.analyses.memorization.occlusion import occlusion_maps
from attribution_core.analyses.memorization.verdict import Memorization, Verdict
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate, over_models
from attribution_core.common.files import write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.evidence.memorization import FILE, ORDINARY, fraction_below
from attribution_core.generation.generator import GeneratedImage, Generator
from pocket.encoders.report import CHANGES
from pocket.training import say

COLLECTION = Path("checkpoints/pocket")
DRAWS = 2000
EARLY = 2 / 3
"""After this part of the steps an image that is being drawn may be warned about."""
_DIGITS = 4
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """others: prompts of other training images, and as many fresh ones. seeds: of each prompt.

    changed: training images that are changed, and as many held-out ones. batch: images at a time.
    """

    others: int = 160
    seeds: tuple[int, ...] = (11, 12)
    changed: int = 200
    batch: int = 16
    seed: int = 3


@dataclass(frozen=True, eq=False)
class Group:
    """Prompts of one kind with what was made of them, seed by seed. sources: the image each prompt describes, or -1."""

    prompts: list[str]
    sources: NDArray[np.int64]
    made: list[GeneratedImage]
    verdicts: list[Verdict]

    @property
    def prompt(self) -> NDArray[np.int64]:
        """(images,) number of the prompt of each image."""
        return np.tile(np.arange(len(self.prompts)), len(self.made) // len(self.prompts))

    @property
    def signal(self) -> Values:
        """(images, steps) the noise signal."""
        return np.array([image.noise_signal.steps for image in self.made if image.noise_signal is not None])

    @property
    def called(self) -> NDArray[np.bool_]:
        """(images,) whether it is called a copy."""
        return np.array([bool(v.is_copy) for v in self.verdicts])

    @property
    def right(self) -> NDArray[np.bool_]:
        """(images,) whether it is called a copy of the image that its prompt describes."""
        return right_copies(self.verdicts, self.sources[self.prompt])


def right_copies(verdicts: Sequence[Verdict], sources: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether each is called a copy, and its source is the nearest."""
    return np.array([bool(v.is_copy) and v.ids[0] == s for v, s in zip(verdicts, sources, strict=True)])


def asked(train: Corpus, held_out: Corpus, settings: Settings) -> Iterator[tuple[str, list[str], list[int]]]:
    """Name, prompts and sources of each group; fresh prompts are captions that no training image has."""
    rng, planted = np.random.default_rng(settings.seed), train.column("planted")
    captions, known = train.column("short_caption"), set(train.column("short_caption"))
    for kind in ("planted", "control"):
        rows = [i for i, k in enumerate(planted) if k == kind]
        yield kind, [captions[i] for i in rows], rows
    rows = [i for i, k in enumerate(planted) if not k]
    rows = sorted(int(i) for i in rng.choice(rows, min(settings.others, len(rows)), replace=False))
    yield "training", [captions[i] for i in rows], rows
    fresh = sorted({c for c in held_out.column("short_caption") if c and c not in known})
    chosen = sorted(int(i) for i in rng.choice(len(fresh), min(settings.others, len(fresh)), replace=False))
    yield "fresh", [fresh[i] for i in chosen], [-1] * len(chosen)


def make(
    generator: Generator, checker: Memorization, prompts: list[str], sources: list[int], settings: Settings
) -> Group:
    """All seeds of all prompts."""
    made: list[GeneratedImage] = []
    for seed in settings.seeds:
        made += generator.generate_batch(prompts, [seed] * len(prompts), batch_size=settings.batch)
    return Group(prompts, np.array(sources), made, checker.check_all([m.image for m in made]))


def curve_area(positive: Values, negative: Values, seed: int = 0, draws: int = DRAWS) -> Estimate:
    """Area under the curve; the interval comes from drawing prompts again. Both (prompts, seeds)."""
    rng = np.random.default_rng(seed)
    areas = [
        area_under_curve(
            positive[rng.integers(0, len(positive), len(positive))].ravel(),
            negative[rng.integers(0, len(negative), len(negative))].ravel(),
        )
        for _ in range(draws)
    ]
    return Estimate(
        area_under_curve(positive.ravel(), negative.ravel()),
        *(float(v) for v in np.quantile(areas, (0.025, 0.975))),
    )


def found(
    right: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
    right_of: NDArray[np.int64],
    wrong_of: NDArray[np.int64],
) -> dict[str, Any]:
    """Compute precision and recall of the verdict.

    right: (p,) copies that were called copies of the right image. wrong: (n,) no copies, that were called copies.
    right_of, wrong_of: the image that each came from, which intervals draw again.
    """
    recall = over_models(right.astype(np.float64), right_of)
    hits = np.concatenate([np.ones(int(right.sum())), np.zeros(int(wrong.sum()))])
    of = np.concatenate([right_of[right], wrong_of[wrong] + right_of.max() + 1])
    precision = asdict(over_models(hits, of)) if len(hits) else None
    return {
        "copies": len(right),
        "no copies": len(wrong),
        "recall": _rounded(asdict(recall)),
        "precision": precision and _rounded(precision),
    }


def changed(
    images: Sequence[Image.Image], others: Sequence[Image.Image], checker: Memorization
) -> dict[str, list[Verdict]]:
    """The verdicts on images after each change; each is laid over or beside another image where the change asks so."""
    large = [image.resize((128, 128), Image.Resampling.BICUBIC) for image in images]
    return {
        name: checker.check_all(
            [change(image, others[(k + 1) % len(others)]) for k, image in enumerate(large)]
        )
        for name, change in CHANGES.items()
    }


def judged(
    copies: Mapping[str, list[Verdict]],
    rest: Mapping[str, list[Verdict]],
    sources: NDArray[np.int64],
    copies_of: NDArray[np.int64],
    rest_of: NDArray[np.int64],
) -> dict[str, Any]:
    """Compute precision and recall over all changes, and recall and false positives of each."""
    right = {name: right_copies(verdicts, sources) for name, verdicts in copies.items()}
    wrong = {name: np.array([bool(v.is_copy) for v in verdicts]) for name, verdicts in rest.items()}
    told = found(
        np.concatenate(list(right.values())),
        np.concatenate(list(wrong.values())),
        np.tile(copies_of, len(right)),
        np.tile(rest_of, len(wrong)),
    )
    return told | {
        "by_change": {
            name: {"recall": _round(right[name].mean()), "false alarms": _round(wrong[name].mean())}
            for name in right
        }
    }


def measure(path: Path = COLLECTION, settings: Settings | None = None) -> dict[str, Any]:
    """Measure a collection with planted images and a generator, on the CPU."""
    settings, began = settings or Settings(), time.perf_counter()
    collection, generator = (
        Collection.open(path),
        Generator.open(CollectionLayout(path).generator, device="cpu"),
    )
    checker = Memorization(collection, device="cpu")
    train, held_out = collection.corpus, Corpus.open(CollectionLayout(path).corpus, split="exemplars")
    groups: dict[str, Group] = {}
    for name, prompts, sources in asked(train, held_out, settings):
        groups[name] = make(generator, checker, prompts, sources, settings)
        say(f"{name}: {len(groups[name].made)} images, {groups[name].called.mean():.1%} called copies")
    planted, control = groups["planted"], groups["control"]
    rng = np.random.default_rng(settings.seed)
    count = min(settings.changed, len(train), len(held_out))
    chosen, spare = (rng.choice(len(c), count, replace=False) for c in (train, held_out))
    strangers = [held_out.image(int(i)) for i in spare]
    threshold = planted.verdicts[0].threshold
    own = np.arange(count)
    return {
        "what": "what the generator memorized: images of planted prompts, of matched controls, of other training "
        "prompts and of prompts that it never saw",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "generator_sha256": generator.sha256,
        "copy_encoder": checker.index.encoder_name,
        "threshold": None if threshold is None else threshold.value,
        "steps": generator.defaults.steps,
        "guidance": generator.defaults.guidance,
        "seeds": list(settings.seeds),
        "copies": {
            "groups": {name: _group(group) for name, group in groups.items()},
            "made": found(planted.right, control.called, planted.prompt, control.prompt),
            "made and changed": judged(
                changed([m.image for m in planted.made], strangers, checker),
                changed([m.image for m in control.made], strangers, checker),
                planted.sources[planted.prompt],
                planted.prompt,
                control.prompt,
            ),
            "training images, changed": judged(
                changed([train.image(int(i)) for i in chosen], strangers, checker),
                changed(strangers, strangers, checker),
                chosen,
                own,
                own,
            ),
        },
        "signal": _signals(groups),
        "seconds": _seconds(generator, checker, planted),
        "took": round(time.perf_counter() - began, 1),
    }


def _group(group: Group) -> dict[str, Any]:
    drops = [v.drop.size for v in group.verdicts]
    return {
        "prompts": len(group.prompts),
        "images": len(group.made),
        "called": _round(group.called.mean()),
        "right": _round(group.right.mean()),
        "similarity": _round(np.median([v.similarity[0] for v in group.verdicts])),
        "drop": _round(np.median(drops)),
        "drop_95": _round(np.quantile(drops, 0.95)),
    }


def _signals(groups: Mapping[str, Group]) -> dict[str, Any]:
    seeds = {
        name: group.signal.mean(axis=1).reshape(-1, len(group.prompts)).T for name, group in groups.items()
    }
    steps = int(groups["planted"].signal.shape[1] * EARLY)
    early = {
        name: [_round(v) for v in group.signal[:, :steps].mean(axis=1)] for name, group in groups.items()
    }
    means = {name: [_round(v) for v in group.signal.mean(axis=1)] for name, group in groups.items()}
    others = [name for name in groups if name != "planted"]
    return {
        "means": means,
        "warned": _warned(means),
        "steps": {
            name: [_round(v) for v in np.median(group.signal, axis=0)] for name, group in groups.items()
        },
        "auc": {name: _rounded(asdict(curve_area(seeds["planted"], seeds[name]))) for name in others},
        "auc, mean over seeds": {
            name: _rounded(
                asdict(curve_area(*(seeds[n].mean(axis=1, keepdims=True) for n in ("planted", name))))
            )
            for name in others
        },
        "early": {"steps": steps, "means": early, "warned": _warned(early)},
    }


def _warned(means: Mapping[str, list[float]]) -> dict[str, int]:
    """How many images of each group have the signal of a memorized prompt."""
    ordinary = np.array(means["training"])
    return {name: sum(fraction_below(ordinary, v) >= ORDINARY for v in means[name]) for name in means}


def _seconds(generator: Generator, checker: Memorization, planted: Group) -> dict[str, float]:
    """Time one image: medians of five runs."""
    made, match = planted.made[0].image, checker.collection.corpus.image(int(planted.sources[0]))
    parts: dict[str, Callable[[], Any]] = {
        "make one image, signal recorded": lambda: generator.generate(planted.prompts[0], 1),
        "is it a copy": lambda: checker.check(made),
        "align": lambda: align(made, match),
        "where both agree": lambda: occlusion_maps(checker.index.encoder, made, match),
    }
    return {
        name: round(float(np.median([_timed(part) for _ in range(5)])), 4) for name, part in parts.items()
    }


def _timed(part: Callable[[], Any]) -> float:
    began = time.perf_counter()
    part()
    return time.perf_counter() - began


def _round(value: Any) -> float:
    return round(float(value), _DIGITS)


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: _round(value) for name, value in values.items()}


def main(
    collection: Annotated[
        Path, typer.Option(help="With corpus/, generator/ and a copy encoder.")
    ] = COLLECTION,
) -> None:
    """Measure, and write evidence/memorization.json into the collection."""
    told = measure(collection)
    out = CollectionLayout(collection).evidence(FILE)
    write_json_atomic(out, told)
    say(f"{out}: {told['took']:.0f} s")


if __name__ == "__main__":
    typer.run(main)
