"""Add-one-in queries against a whole index: what a temperature is fitted on, and what it is judged by.

For each image that a tuned model made, the candidates are all training images and the model's own exemplars. The
nearest are listed one by one, the others enter by the bins of their `Rest`, so that a million candidates fit.
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

    is_exemplar: (q, k) bool. rest: all other training images. model: (q,) which tuned model made the query.
    """

    similarity: NDArray[np.float32] = field(repr=False)
    is_exemplar: NDArray[np.bool_] = field(repr=False)
    rest: Rest = field(repr=False)
    model: NDArray[np.int64] = field(repr=False)

    def fit(self, encoder: str = "") -> Calibrator:
        """Fit the temperature. Raises `NotFittedError` where none is best."""
        return Calibrator(encoder).fit(self.similarity, self.is_exemplar, self.rest)

    def nll(self, calibrator: Calibrator, temperature: float | None = None) -> NDArray[np.float64]:
        """(q,) -log influence of the exemplars, in nats; temperature: in place of the fitted one."""
        return calibrator.nll(self.similarity, self.is_exemplar, self.rest, temperature)


def add_one_in(case: TestCase, mappers: MapperPair, index: TrainingIndex, listed: int = LISTED) -> AddOneIn:
    """Search all made images of a case among the training images, each with its own model's exemplars.

    Args:
        case: Raw features of exemplars and made images.
        mappers: Both heads.
        index: The mapped training set.
        listed: Training images listed for a query, about; cut to what there are.

    Raises:
        CollectionMismatchError: Dimensions differ.
        InvalidInputError: The case has no made images, or `listed` is below 1.
    """
    whole("listed", listed, 1)
    if case.dim != mappers.dim or mappers.out_dim != index.dim:
        raise CollectionMismatchError(
            f"case '{case.name}' has {case.dim} columns, the mappers turn {mappers.dim} into {mappers.out_dim} and the "
            f"index holds {index.dim}; use one encoder and its mappers."
        )
    made = [m for m in case.made.values() if len(m.features)]
    if not made:
        raise InvalidInputError(f"case '{case.name}' has no made images to fit or judge with.")
    queries = mappers.map_query(np.concatenate([m.features for m in made]))
    model = np.concatenate([m.model for m in made])
    exemplars = mappers.map_training(case.exemplars)
    count = np.diff(case.chunks, axis=1)[:, 0][model]
    # Every row has as many columns: where a model has more exemplars, fewer training images are listed.
    columns = min(listed, len(index)) + int(count.min())
    parts = []
    for own in np.unique(count):
        rows = np.flatnonzero(count == own)
        place = case.chunks[model[rows], 0][:, None] + np.arange(own)
        near = np.einsum("qed,qd->qe", exemplars[place], queries[rows])
        if own >= columns:
            raise InvalidInputError(f"a model has {own} exemplars; list more than {columns} images.")
        hits = index.search(queries[rows], columns - int(own))
        parts.append((rows, np.concatenate([near, hits.similarity], axis=1), int(own), hits.rest))
    order = np.argsort(np.concatenate([rows for rows, *_ in parts]))
    similarity = np.concatenate([s for _, s, _, _ in parts])[order]
    own_of = np.repeat([own for *_, own, _ in parts], [len(rows) for rows, *_ in parts])[order]
    rest = _joined([rest for *_, rest in parts]).take(order)
    return AddOneIn(similarity.astype(np.float32), np.arange(columns) < own_of[:, None], rest, model)


def _joined(parts: list[Rest]) -> Rest:
    """The rests of several groups of queries, all of one index, as one."""
    first = parts[0]
    count, mean, low, high = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("count", "mean", "low", "high")
    )
    sample = (
        None if first.sample is None else np.concatenate([p.sample for p in parts if p.sample is not None])
    )
    return Rest(count, mean, low, high, first.kind, sample, first.sample_bin)
