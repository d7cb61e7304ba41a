"""Search that compares a query with every row, which gives an exact rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from attribution_core.retrieval.hits import Hits, Nearest
from attribution_core.retrieval.local import LocalFile
from attribution_core.retrieval.rest import Rest

_SCAN_VALUES = 16_000_000


class ExhaustiveScan(LocalFile, ABC):
    """What backends share that keep all rows in this process; each says how it computes similarities.

    Listed similarities and the rest come from the same pass. Working memory is bounded: about 64 MB of similarities at
    a time.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of training images."""

    @abstractmethod
    def _similarities(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the similarities of (q, d) unit queries to all rows, (q, n)."""

    def nearest(self, queries: NDArray[np.float32], top: int) -> Nearest:
        """Return the `top` nearest of (q, d) unit rows; of equal similarities the one that was added first."""
        ids, best = _empty_lists(len(queries), top)
        for k, row in enumerate(self._rows(queries)):
            ids[k] = _nearest(row, top)
            best[k] = row[ids[k]]
        return Nearest(ids, best)

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Like `nearest`, plus the rest in `bins` bins."""
        ids, best = _empty_lists(len(queries), top)
        rests = []
        for k, row in enumerate(self._rows(queries)):
            ids[k] = _nearest(row, top)
            best[k] = row[ids[k]]
            rests.append(Rest.from_similarities(np.delete(row, ids[k]), bins))
        return Hits(ids, best, Rest.stack(rests))

    def _rows(self, queries: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield each query's similarities to all rows, computed for a bounded number of queries at a time."""
        step = max(1, _SCAN_VALUES // len(self))
        for start in range(0, len(queries), step):
            yield from self._similarities(queries[start : start + step])


def _empty_lists(queries: int, top: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.empty((queries, top), dtype=np.int64), np.empty((queries, top), dtype=np.float32)


def _nearest(row: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    n = row.size
    least = np.partition(row, n - top)[n - top]
    candidates = np.flatnonzero(row >= least)
    order = np.argsort(-row[candidates], kind="stable")[:top]
    return np.asarray(candidates[order], dtype=np.int64)
