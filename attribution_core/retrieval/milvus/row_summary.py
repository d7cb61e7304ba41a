"""What a store saves locally to bound the tail mass: the sum of all rows and an even sample of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import FloatArray

DEPTH = 16_384
"""Rows that a search fetches; an index with no more needs no sample."""
_SAMPLE = 8192
_SEED = 0


class RowSummary:
    """The sum of all rows and an even sample of them in random order.

    Every row draws a random number and the rows with the smallest make up the sample, so block sizes do not matter.
    depth: how many rows a search fetches; an index with no more needs no sample.
    """

    def __init__(self, dim: int) -> None:
        """dim: length of a row."""
        self.count, self.depth = 0, DEPTH
        self.sum: FloatArray = np.zeros(dim)
        self.sample = np.zeros((0, dim), dtype=np.float32)
        self.sample_id = np.zeros(0, dtype=np.int64)
        self._key: FloatArray = np.zeros(0)
        self._rng = np.random.default_rng(_SEED)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Include (n, d) rows."""
        drawn = self._rng.random(len(rows))
        new = np.flatnonzero(drawn < (self._key[-1] if len(self._key) >= _SAMPLE else 1.0))
        key = np.concatenate([self._key, drawn[new]])
        least = np.argsort(key, kind="stable")[:_SAMPLE]
        self.sample = np.concatenate([self.sample, rows[new]])[least]
        self._key, self.sample_id = key[least], np.concatenate([self.sample_id, self.count + new])[least]
        self.sum += rows.sum(axis=0, dtype=np.float64)
        self.count += len(rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to save; the sample is empty where no search needs it."""
        rows = slice(0, None if self.count > self.depth else 0)
        return {
            "sum": self.sum,
            "sample": np.ascontiguousarray(self.sample[rows]),
            "sample_id": self.sample_id[rows],
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], count: int, depth: int) -> RowSummary:
        """Restore what `arrays` returned. Raises `KeyError` if one is missing."""
        summary = cls(len(arrays["sum"]))
        summary.sum, summary.sample, summary.sample_id = (
            arrays[name] for name in ("sum", "sample", "sample_id")
        )
        summary.count, summary.depth = count, depth
        return summary
