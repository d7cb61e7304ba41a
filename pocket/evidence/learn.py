"""Learns mappers and temperatures from the benchmark, and evaluates them on models not used for learning."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.add_one_in.augmentations import Augmentation
from attribution_core.add_one_in.cases import ManifestEntry, TestCase, encode_case, read_manifest
from attribution_core.add_one_in.evaluation import Score, evaluate
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.add_one_in.reliability import reliability
from attribution_core.add_one_in.train_mappers import (
    RIGIDITIES,
    TEMPERATURES,
    TrainedMappers,
    encode_pairs,
    train_mappers,
)
from attribution_core.collection.encode import encode_corpus
from attribution_core.common.cards import read_card
from attribution_core.common.estimates import over_models
from attribution_core.common.files import atomic_path
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import load_encoder
from attribution_core.evidence.benchmark import Calibrated
from attribution_core.mapping.fit import FeaturePairs
from attribution_core.mapping.pair import MapperPair
from attribution_core.scoring.calibrator import Calibrator
from pocket.benchmark.plan import TEST_SPLITS

VIEWS = 2  # of each image to learn from
_NOWHERE = (
    -1.0
)  # similarity of a place that holds no candidate: no image's, and without weight in any softmax
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Variant:
    """One way to learn mappers. styles: which models it learns from: objects (False), styles (True), or both."""

    name: str
    kind: str = "linear"
    rigid: bool = True
    augmentation: Augmentation = Augmentation.MILD
    styles: tuple[bool, ...] = (False, True)


LINEAR = Variant("linear")
# Quick to learn on any number of columns, where the regulariser takes their cube.
LIGHT = (
    Variant("linear, no regulariser", rigid=False),
    Variant("channel", kind="channel"),
    Variant("MLP", kind="mlp"),
)
VARIANTS = (
    LINEAR,
    *LIGHT,
    Variant("linear, strong augmentation", augmentation=Augmentation.STRONG),
    Variant("linear, objects only", styles=(False,)),
    Variant("linear, styles only", styles=(True,)),
)


@dataclass(frozen=True)
class Benchmark:
    """Manifests by split, their images, and where features are kept. say: reports progress."""

    folder: Path
    corpus: Path
    work: Path
    say: Callable[[str], None]

    def entries(self, split: str, styles: Sequence[bool] = (False, True)) -> tuple[ManifestEntry, ...]:
        """Return the models of a split."""
        return tuple(e for e in read_manifest(self.folder / f"{split}.json") if e.more["style"] in styles)

    @cached_property
    def images(self) -> ImageStore:
        """Open all images by the manifests' paths."""
        return ImageStore.open(self.folder, self.corpus)

    def key(self, *more: object) -> str:
        """Names what is computed from these very images."""
        made_of = [read_card(self.folder)["files"], read_card(self.corpus)["files"], *map(str, more)]
        return hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]


class Features:
    """One encoder's features of the training set and benchmark, cached in the work folder."""

    def __init__(self, name: str, benchmark: Benchmark) -> None:
        """name: row of `ENCODERS`."""
        self.name, self._benchmark = name, benchmark
        self._encoder = load_encoder(name)
        self._cases: dict[str, TestCase] = {}
        self.training = self._training()

    def blocks(self) -> Iterator[Rows]:
        """The training set's raw features as `evaluate` reads them."""
        yield self.training

    def _training(self) -> Rows:
        corpus = Corpus.open(self._benchmark.corpus)

        return self._kept("training", lambda: {"rows": encode_corpus(corpus, self._encoder)})["rows"]

    def pairs(self, split: str, augmentation: Augmentation, styles: Sequence[bool]) -> FeaturePairs:
        """Return views of a split's exemplars and generated images; without augmentation, each image once."""
        entries = self._benchmark.entries(split, styles)
        n_views = 1 if augmentation is Augmentation.NONE else VIEWS

        def make() -> dict[str, Any]:
            return vars(encode_pairs(self._encoder, entries, self._benchmark.images, augmentation, n_views))

        return FeaturePairs(**self._kept(f"{split}-{augmentation}-{styles}", make))

    def case(self, split: str) -> TestCase:
        """Return a split's exemplars and generated images without augmentation."""
        if split not in self._cases:
            self._cases[split] = self.encoded(split, self._benchmark.entries(split))
        return self._cases[split]

    def encoded(self, name: str, entries: Sequence[ManifestEntry]) -> TestCase:
        """Return some models' exemplars and generated images without augmentation."""
        return encode_case(self._encoder, name, entries, self._benchmark.images)

    def _kept(self, what: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        path = self._benchmark.work / f"{self._benchmark.key(self.name, what)}.npz"
        if not path.exists():
            self._benchmark.say(f"{self.name}: features of {what}")
            with atomic_path(path) as temporary, temporary.open("wb") as handle:
                np.savez(handle, **make())
        with np.load(path) as stored:
            return dict(stored)


@dataclass(frozen=True)
class Learned:
    """One encoder's mappers by variant, with scores of all variants and of no mappers."""

    trained: dict[str, TrainedMappers] = field(repr=False)
    scores: tuple[Score, ...] = field(repr=False)

    @property
    def best(self) -> str:
        """The best variant on validation."""
        return max(self.trained, key=lambda name: self.trained[name].best.reciprocal_rank)


def learn(
    features: Features, variants: Sequence[Variant], say: Callable[[str], None], **settings: Any
) -> Learned:
    """Fit every variant and score it on the test splits.

    `LINEAR`'s temperature and rigidity are chosen on validation, and stand for the others. settings: of `FitSettings`.
    """
    validation = features.pairs("validation", Augmentation.NONE, (False, True))
    cases = [features.case(split) for split in TEST_SPLITS]
    identity = MapperPair.identity(features.training.shape[1], features.name)
    scores = [*evaluate(features.blocks, cases, identity, "pretrained")]
    trained: dict[str, TrainedMappers] = {}
    grid: tuple[Sequence[float], Sequence[float]] = (TEMPERATURES, RIGIDITIES)
    for variant in variants:
        pairs = features.pairs("train", variant.augmentation, variant.styles)
        temperatures, rigidities = grid
        found = train_mappers(
            pairs,
            validation,
            features.name,
            variant.kind,
            temperatures,
            rigidities if variant.rigid else (0.0,),
            **settings,
        )
        trained[variant.name] = found
        scores += evaluate(features.blocks, cases, found.pair, variant.name)
        say(
            f"{features.name}, {variant.name}: validation {found.best.reciprocal_rank:.3f}, "
            f"untrained {found.untrained:.3f}"
        )
        if variant is LINEAR:
            grid = ((found.best.settings.temperature,), (found.best.settings.rigidity,))
    return Learned(trained, tuple(scores))


@dataclass(frozen=True)
class Candidates:
    """Queries with all candidates. similarity: (q, n + e), training images, then exemplars of the query's own model.

    is_exemplar: (q, n + e). model: (q,). Places of models with fewer exemplars than e hold `_NOWHERE`.
    """

    similarity: Rows = field(repr=False)
    is_exemplar: NDArray[np.bool_] = field(repr=False)
    model: NDArray[np.int64] = field(repr=False)


def candidates(case: TestCase, pair: MapperPair, training: Rows) -> Candidates:
    """Compare all queries of a case with the training set, (n, d) raw, and their own exemplars."""
    made = list(case.made.values())
    queries = pair.map_query(np.concatenate([m.features for m in made]))
    model = np.concatenate([m.model for m in made])
    own = pair.map_training(case.exemplars)
    most = int(np.diff(case.chunks, axis=1).max())
    similarity = np.full((len(queries), len(training) + most), _NOWHERE, dtype=np.float32)
    marks = np.zeros(similarity.shape, dtype=bool)
    similarity[:, : len(training)] = queries @ pair.map_training(training).T
    for q, (start, end) in enumerate(case.chunks[model]):
        place = slice(len(training), len(training) + end - start)
        similarity[q, place] = own[start:end] @ queries[q]
        marks[q, place] = True
    return Candidates(similarity, marks, model)


def calibrate(case: TestCase, pair: MapperPair, training: Rows) -> Calibrator:
    """Fit the temperature on a case."""
    found = candidates(case, pair, training)
    return Calibrator(pair.encoder).fit(found.similarity, found.is_exemplar)


def judge(calibrator: Calibrator, case: TestCase, pair: MapperPair, training: Rows) -> Calibrated:
    """Evaluate a temperature on a case that it was not fitted on."""
    return judge_candidates(calibrator, case.name, candidates(case, pair, training))


def judge_candidates(calibrator: Calibrator, case: str, found: Candidates) -> Calibrated:
    """The same of candidates that are at hand. case: its name."""
    nll = [
        calibrator.nll(found.similarity, found.is_exemplar, temperature=t)
        for t in (1.0, calibrator.temperature_)
    ]
    real = found.similarity > _NOWHERE
    shares = [_softmax(found.similarity, t) for t in (1.0, calibrator.temperature_)]
    return Calibrated(
        case,
        float(np.log(real.sum(axis=1)).mean()),
        over_models(nll[0], found.model),
        over_models(nll[1], found.model),
        over_models(nll[0] - nll[1], found.model),
        *(reliability(share, found.is_exemplar) for share in shares),
    )


def _softmax(similarity: Rows, temperature: float) -> NDArray[np.float64]:
    """(q, n) influences; places without a candidate have none."""
    scaled = np.where(similarity > _NOWHERE, similarity.astype(np.float64) / temperature, -np.inf)
    weight = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def tuning_took(features: Features, benchmark: Benchmark, split: str) -> dict[str, dict[str, float]]:
    """Measure how often a generated image is closer to its exemplars than the untuned generator's image.

    Both use the same prompt and noise; similarity is the encoder's own, averaged over exemplars. Returns, for objects
    and styles, the share of images, the share of models with most images closer, and both mean similarities.
    """
    told = {}
    for style, name in ((False, "object"), (True, "style")):
        entries = benchmark.entries(split, (style,))
        if not entries:
            continue
        near = [
            _nearness(features.encoded(split, part))
            for part in (
                [
                    replace(e, made={k: e.made[k][: len(v)] for k, v in e.more["untuned"].items()})
                    for e in entries
                ],
                [replace(e, made={k: tuple(v) for k, v in e.more["untuned"].items()}) for e in entries],
            )
        ]
        nearer = near[0] > near[1]
        told[name] = {
            "images": round(float(nearer.mean()), 3),
            "models": round(float((nearer.mean(axis=1) > 0.5).mean()), 3),
            "similarity_tuned": round(float(near[0].mean()), 4),
            "similarity_untuned": round(float(near[1].mean()), 4),
        }
    return told


def _nearness(case: TestCase) -> NDArray[np.float64]:
    """(m, images of a model) mean similarity to the model's exemplars."""
    pair = MapperPair.identity(case.dim)
    own, rows = pair.map_training(case.exemplars), []
    for k, (start, end) in enumerate(case.chunks):
        made = np.concatenate([m.features[m.model == k] for m in case.made.values()])
        rows.append((pair.map_query(made) @ own[start:end].T).mean(axis=1))
    return np.stack(rows).astype(np.float64)


def as_json(value: Any) -> Any:
    """Convert dataclasses and arrays to JSON values; NaN and infinity become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return [float(f"{v:.6g}") for v in value]
    if isinstance(value, float) and np.isnan(value):
        return None
    if isinstance(value, dict):
        return {k: as_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    return value
