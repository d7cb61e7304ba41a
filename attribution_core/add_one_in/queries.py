"""Add-one-in queries against a whole index, used to fit and evaluate temperatures.

The candidates of each image that a tuned model generated are all training images and the model's own exemplars. The
nearest are listed individually and the others summarised by their `Rest`, which scales to a million candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from attribution_core.add_one_in.cases import TestCase
from attribution_core.common.arrays import whole
from attribution_core.errors import CollectionMismatchError, InvalidInputError
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.calibrator import Calibrator

LISTED = 1000


@dataclass(frozen=True)
class AddOneIn:
    """Queries of a test case. similarity: (q, k) of exemplars and of the nearest training images.

    is_exemplar: (q, k) bool. rest: all other training images. model: (q,) the tuned model that generated the query.
    """

    similarity: NDArray[np.float32] = field(repr=False)
    is_exemplar: NDArray[np.bool_] = field(repr=False)
    rest: Rest = field(repr=False)
    model: NDArray[np.int64] = field(repr=False)

    def fit(self, encoder: str = "") -> Calibrator:
        """Fit the temperature. Raises `NotFittedError` if the likelihood has no maximum."""
        return Calibrator(encoder).fit(self.similarity, self.is_exemplar, self.rest)

    def nll(self, calibrator: Calibrator, temperature: float | None = None) -> NDArray[np.float64]:
        """Return the (q,) -log influence of the exemplars, in nats. temperature: replaces the fitted one."""
        return calibrator.nll(self.similarity, self.is_exemplar, self.rest, temperature)


def add_one_in(case: TestCase, mappers: MapperPair, index: TrainingIndex, listed: int = LISTED) -> AddOneIn:
    """Search for all generated images of a case among the training images and their own model's exemplars.

    Args:
        case: Raw features of exemplars and generated images.
        mappers: Both heads.
        index: The mapped training set.
        listed: Approximate number of training images to list per query; at most all.

    Raises:
        CollectionMismatchError: Dimensions differ.
        InvalidInputError: The case has no generated images, or `listed` is below 1 or too small for its exemplars.
    """
    whole("listed", listed, 1)
    if case.dim != mappers.dim or mappers.out_dim != index.dim:
        raise CollectionMismatchError(
            f"case '{case.name}' has {case.dim} columns, the mappers map {mappers.dim} to {mappers.out_dim} and the "
            f"index has {index.dim}; use one encoder and its mappers."
        )
    groups = [m for m in case.made.values() if len(m.features)]
    if not groups:
        raise InvalidInputError(f"case '{case.name}' has no generated images to fit or evaluate with.")
    queries = mappers.map_query(np.concatenate([m.features for m in groups]))
    model = np.concatenate([m.model for m in groups])
    exemplars = mappers.map_training(case.exemplars)
    count = np.diff(case.chunks, axis=1)[:, 0][model]
    # All rows have the same number of columns: a model with more exemplars gets fewer training images.
    columns = min(listed, len(index)) + int(count.min())
    parts = []
    for own in np.unique(count):
        rows = np.flatnonzero(count == own)
        positions = case.chunks[model[rows], 0][:, None] + np.arange(own)
        near = np.einsum("qed,qd->qe", exemplars[positions], queries[rows])
        if own >= columns:
            raise InvalidInputError(
                f"a model has {own} exemplars, too many for listed={listed}; increase listed."
            )
        hits = index.search(queries[rows], columns - int(own))
        parts.append((rows, np.concatenate([near, hits.similarity], axis=1), int(own), hits.rest))
    order = np.argsort(np.concatenate([rows for rows, *_ in parts]))
    similarity = np.concatenate([s for _, s, _, _ in parts])[order]
    own_of = np.repeat([own for *_, own, _ in parts], [len(rows) for rows, *_ in parts])[order]
    rest = _concatenate([rest for *_, rest in parts]).take(order)
    return AddOneIn(similarity.astype(np.float32), np.arange(columns) < own_of[:, None], rest, model)


def _concatenate(parts: list[Rest]) -> Rest:
    """Concatenate the rests of several groups of queries against the same index."""
    first = parts[0]
    count, mean, low, high = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("count", "mean", "low", "high")
    )
    sample = (
        None if first.sample is None else np.concatenate([p.sample for p in parts if p.sample is not None])
    )
    return Rest(count, mean, low, high, first.kind, sample, first.sample_bin)
