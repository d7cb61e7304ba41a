"""What stands behind a collection's shares: how its methods did where the answer was known, read from its folder.

`evidence/evidence.json` of a collection is written by a recipe (`python -m pocket.evidence` for the pocket collection);
`benchmark/` holds the images that it is about, one manifest a test case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attribution_core.add_one_in.cases import ManifestEntry, read_manifest
from attribution_core.add_one_in.evaluation import Score
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.add_one_in.reliability import Reliability
from attribution_core.attribution.attributor import Added
from attribution_core.common.estimates import Estimate
from attribution_core.common.json_text import read_json
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit
from attribution_core.errors import CheckpointError, unknown_name

_BENCHMARK, _CORPUS = "benchmark", "corpus"


@dataclass(frozen=True)
class Calibrated:
    """A method's influences on one test case. nll: mean -log influence of the exemplars in nats, with intervals.

    uniform: what equal shares give. uncalibrated: of temperature 1. calibrated: of the fitted one. gain: how much less
    that is. before, after: reliability of both.
    """

    case: str
    uniform: float
    uncalibrated: Estimate
    calibrated: Estimate
    gain: Estimate
    before: Reliability = field(repr=False)
    after: Reliability = field(repr=False)

    @property
    def better_than_even(self) -> bool | None:
        """Whether fitted shares give the exemplars more than equal ones; None where the interval leaves it open."""
        if self.calibrated.low <= self.uniform <= self.calibrated.high:
            return None
        return self.calibrated.high < self.uniform


@dataclass(frozen=True)
class Method:
    """A way to attribute: an encoder with mappers. name: among the collection's methods. temperature: fitted."""

    name: str
    encoder: str
    mapper: str
    temperature: float
    calibrated: tuple[Calibrated, ...] = field(repr=False)


@dataclass(frozen=True)
class Evidence:
    """All of it. scores: every encoder and mapper on every test case and kind of prompt. methods: those to choose from.

    stored: the rest of the file: validation, agreement of metrics, how often tuning took, sources. scaling: what the
    own method's temperature is worth with other numbers of candidates; empty where that was not measured.
    """

    scores: tuple[Score, ...] = field(repr=False)
    methods: tuple[Method, ...] = field(repr=False)
    stored: Mapping[str, Any] = field(repr=False)
    collection: Path
    scaling: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def open(cls, collection: Path | str) -> Evidence | None:
        """Read a collection's evidence; None where it has none. Raises `CheckpointError` where it is damaged."""
        path = Path(collection) / "evidence/evidence.json"
        more = path.with_name("scaling.json")
        if not path.exists():
            return None
        try:
            stored = read_json(path)
            scaling = read_json(more) if more.exists() else {}
            if scaling and not (scaling["numbers"] and scaling["method"] and scaling["fitted_with"]):
                raise ValueError(f"{more.name} holds no numbers")
            scores = tuple(_score(row) for row in stored.pop("scores"))
            methods = tuple(
                Method(
                    row["name"],
                    row["encoder"],
                    row["mapper"],
                    float(row["temperature"]),
                    tuple(_calibrated(c) for c in row["calibrated"]),
                )
                for row in stored.pop("methods")
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            words = f"{type(error).__name__}: {error}"
            raise CheckpointError(f"'{path}' is no evidence ({words}); make it again.") from error
        return cls(scores, methods, stored, Path(collection), scaling)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the test cases."""
        return tuple(dict.fromkeys(score.case for score in self.scores))

    def kinds(self, case: str) -> tuple[str, ...]:
        """Kinds of prompt of a test case."""
        return tuple(dict.fromkeys(score.kind for score in self.scores if score.case == case))

    def models(self, case: str) -> tuple[ManifestEntry, ...]:
        """The tuned models of a test case, empty where the benchmark does not ship. Raises `CheckpointError`."""
        path = self.collection / _BENCHMARK / f"{case}.json"
        return read_manifest(path) if path.exists() else ()

    def method(self, name: str) -> Method:
        """A method by its name. Raises `UnknownNameError`."""
        names = [method.name for method in self.methods]
        if name not in names:
            raise unknown_name("method", name, names)
        return self.methods[names.index(name)]

    def exemplars(self, model: ManifestEntry) -> list[Added]:
        """A model's exemplars with their credits, to join the candidates. Raises `CheckpointError`."""
        return [Added(self.images[path], self._credit(path)) for path in model.exemplars]

    def _credit(self, path: str) -> Credit:
        place = self._places.get(path)
        return Credit(id=path) if place is None else self._corpus.credit(place)

    @cached_property
    def _corpus(self) -> Corpus:
        return Corpus.open(self.collection / _CORPUS, "exemplars")

    @cached_property
    def _places(self) -> dict[str, int]:
        there = any((self.collection / _CORPUS).glob("exemplars-*.parquet"))
        return {name: i for i, name in enumerate(self._corpus.column("id"))} if there else {}

    @cached_property
    def images(self) -> ImageStore:
        """Images by the manifests' paths: made ones and exemplars. Raises `CheckpointError`."""
        return ImageStore.open(self.collection / _BENCHMARK, self.collection / _CORPUS)


def _estimate(row: Mapping[str, float]) -> Estimate:
    return Estimate(float(row["value"]), float(row["low"]), float(row["high"]))


def _score(row: Mapping[str, Any]) -> Score:
    return Score(
        row["encoder"],
        row["mapper"],
        row["case"],
        row["kind"],
        int(row["models"]),
        int(row["queries"]),
        tuple(_estimate(e) for e in row["recall"]),
        tuple(float(c) for c in row["ceiling"]),
        _estimate(row["mean_ap"]),
    )


def _reliability(row: Mapping[str, Any]) -> Reliability:
    arrays = {
        name: np.asarray(row[name], dtype=np.float64) for name in ("low", "high", "predicted", "observed")
    }
    return Reliability(
        **arrays,
        count=np.asarray(row["count"], dtype=np.int64),
        misplaced=float(row["misplaced"]),
        expected_error=float(row["expected_error"]),
    )


def _calibrated(row: Mapping[str, Any]) -> Calibrated:
    return Calibrated(
        row["case"],
        float(row["uniform"]),
        _estimate(row["uncalibrated"]),
        _estimate(row["calibrated"]),
        _estimate(row["gain"]),
        _reliability(row["before"]),
        _reliability(row["after"]),
    )
