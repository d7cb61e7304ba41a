"""Measurements of a collection's methods on images whose exemplars are known, read from the collection's folder.

A recipe writes `evidence/evidence.json` into the collection (`python -m pocket.evidence` for the pocket collection);
`benchmark/` holds the test cases' images, with one manifest per test case.
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
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate
from attribution_core.common.json_text import read_json
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit
from attribution_core.errors import CheckpointError, unknown_name

FILE, SCALING = "evidence.json", "scaling.json"


@dataclass(frozen=True)
class Calibrated:
    """Mean -log influence of a test case's exemplars, in nats, and reliability, before and after calibration.

    uniform: with equal shares. uncalibrated: at temperature 1. calibrated: at the fitted temperature. gain: how much
    lower calibrated is than uncalibrated. before, after: reliability without and with calibration.
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
        """Whether calibrated shares favour the exemplars over equal shares; None if the interval includes both."""
        if self.calibrated.low <= self.uniform <= self.calibrated.high:
            return None
        return self.calibrated.high < self.uniform


@dataclass(frozen=True)
class Method:
    """An attribution method: an encoder with mappers. name: as in the collection. temperature: the fitted one."""

    name: str
    encoder: str
    mapper: str
    temperature: float
    calibrated: tuple[Calibrated, ...] = field(repr=False)


@dataclass(frozen=True)
class Evidence:
    """All measurements. scores: of every encoder and mapper on every test case and kind of prompt. methods: on offer.

    stored: the rest of the file: validation, agreement of metrics, how often tuning succeeded, inputs. layout: of the
    collection. scaling: how the own method's temperature does with other numbers of candidates; empty if not measured.
    """

    scores: tuple[Score, ...] = field(repr=False)
    methods: tuple[Method, ...] = field(repr=False)
    stored: Mapping[str, Any] = field(repr=False)
    layout: CollectionLayout = field(repr=False)
    scaling: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def open(cls, collection: Path | str) -> Evidence | None:
        """Read a collection's evidence; None if it has none. Raises `CheckpointError` if the file is damaged."""
        layout = CollectionLayout(Path(collection))
        path, scaling_path = layout.evidence(FILE), layout.evidence(SCALING)
        if not path.exists():
            return None
        try:
            stored = read_json(path)
            scaling = read_json(scaling_path) if scaling_path.exists() else {}
            if scaling and not (scaling["numbers"] and scaling["method"] and scaling["fitted_with"]):
                raise ValueError(f"{scaling_path.name} holds no numbers")
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
            raise CheckpointError(
                f"'{path}' is not an evidence file ({type(error).__name__}: {error}); build it again."
            ) from error
        return cls(scores, methods, stored, layout, scaling)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the test cases."""
        return tuple(dict.fromkeys(score.case for score in self.scores))

    def kinds(self, case: str) -> tuple[str, ...]:
        """Return the kinds of prompt of a test case."""
        return tuple(dict.fromkeys(score.kind for score in self.scores if score.case == case))

    def models(self, case: str) -> tuple[ManifestEntry, ...]:
        """The tuned models of a test case; empty without the benchmark. Raises `CheckpointError`."""
        path = self.layout.benchmark / f"{case}.json"
        return read_manifest(path) if path.exists() else ()

    def method(self, name: str) -> Method:
        """Return a method by its name. Raises `UnknownNameError`."""
        names = [method.name for method in self.methods]
        if name not in names:
            raise unknown_name("method", name, names)
        return self.methods[names.index(name)]

    def exemplars(self, model: ManifestEntry) -> list[Added]:
        """Return a model's exemplars with their credits, to add to the candidates. Raises `CheckpointError`."""
        return [Added(self.images[path], self._credit(path)) for path in model.exemplars]

    def _credit(self, path: str) -> Credit:
        position = self._positions.get(path)
        return Credit(id=path) if position is None else self._corpus.credit(position)

    @cached_property
    def _corpus(self) -> Corpus:
        return Corpus.open(self.layout.corpus, "exemplars")

    @cached_property
    def _positions(self) -> dict[str, int]:
        if not any(self.layout.corpus.glob("exemplars-*.parquet")):
            return {}
        return {name: i for i, name in enumerate(self._corpus.column("id"))}

    @cached_property
    def images(self) -> ImageStore:
        """Images by the manifests' paths: made ones and exemplars. Raises `CheckpointError`."""
        return ImageStore.open(self.layout.benchmark, self.layout.corpus)


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
