"""Hubness correction: training images that are near to everything lose similarity.

Some rows are among the nearest of very many queries, whatever they show. As in CSLS (Conneau et al., *Word Translation
Without Parallel Data*, ICLR 2018), a row's mean similarity to its nearest queries of a reference set, times a weight,
is taken from its similarity to every query. Two more columns express that as an inner product of unit rows, so that
indexes and calibrators need not know of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import positive, unit_rows, whole

NEIGHBOURS, WEIGHT = 10, 0.5
_BLOCK = 8192  # rows compared at a time


@dataclass(frozen=True, eq=False)
class HubnessCorrection:
    """Extends mapped unit rows by two columns.

    A corrected similarity is `scale` * (similarity - weight * mean similarity of the training image to the
    `neighbours` nearest of the reference queries).

    Attributes:
        queries: (m, d) float32 mapped unit rows of generated images other than those to attribute.
        neighbours: How many of them count, 1..m.
        weight: Above 0.
    """

    queries: NDArray[np.float32]
    neighbours: int = NEIGHBOURS
    weight: float = WEIGHT

    def __post_init__(self) -> None:
        """Check the values. Raises `InvalidInputError`."""
        object.__setattr__(self, "queries", unit_rows("queries", self.queries))
        whole("neighbours", self.neighbours, 1, len(self.queries))
        positive("weight", self.weight)

    @property
    def scale(self) -> float:
        """What similarities shrink by, so that rows stay of length 1."""
        return float((2 * (1 + self.weight**2)) ** -0.5)

    def extend_training(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, d) unit rows of training images to (n, d + 2) unit rows."""
        hub = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _BLOCK):
            similarity = rows[start : start + _BLOCK] @ self.queries.T
            nearest = np.partition(similarity, -self.neighbours, axis=1)[:, -self.neighbours :]
            hub[start : start + _BLOCK] = nearest.mean(axis=1)
        left = np.sqrt(np.maximum(1 - hub**2, 0))
        return np.asarray(np.hstack([rows, hub[:, None], left[:, None]]) * np.float32(0.5**0.5))

    def extend_queries(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (q, d) unit rows of queries to (q, d + 2) unit rows."""
        more = np.broadcast_to(np.array([-self.weight, 0], np.float32), (len(rows), 2))
        return np.asarray(np.hstack([rows, more]) * np.float32((1 + self.weight**2) ** -0.5))
