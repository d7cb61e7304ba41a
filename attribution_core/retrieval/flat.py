"""FAISS `Flat` and `SQfp16`: all rows in memory and scanned for every search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from attribution_core.common.files import atomic_path
from attribution_core.errors import CheckpointError
from attribution_core.retrieval.hits import Hits, Nearest
from attribution_core.retrieval.rest import Rest

_FILE = "index.faiss"
_SCAN_VALUES = 16_000_000
_DECODE_VALUES = 4_000_000


class FlatScan:
    """A full scan over a FAISS `Flat` or `SQfp16` index, which gives an exact rest.

    Listed similarities and the rest come from the same float32 pass over the decoded rows. FAISS's own SQfp16
    search rounds the query to 16 bits on some processors, which shifts a similarity by about 1e-5, so two passes
    would disagree. Working memory is bounded: about 64 MB of similarities and 16 MB of decoded rows at a time.
    """

    def __init__(self, index: Any, factory: str) -> None:
        """Wrap a FAISS inner-product index. factory: "Flat" or "SQfp16"."""
        self._index, self.factory = index, factory

    @classmethod
    def check(cls, factory: str, folder: Path | None) -> str:
        """Return the factory unchanged; it works everywhere."""
        return factory

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None = None) -> FlatScan:
        """Create an empty index for rows of `dim` values."""
        return cls(faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT), factory)

    @classmethod
    def open(cls, folder: Path, factory: str) -> FlatScan:
        """Read what `save` wrote. Raises `CheckpointError` for any other file."""
        path = folder / _FILE
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise CheckpointError(f"'{path}' is not a FAISS index; build or download it again.") from error
        if not isinstance(index, faiss.IndexFlat | faiss.IndexScalarQuantizer):
            raise CheckpointError(
                f"'{path}' is a {type(index).__name__}, expected Flat or SQfp16; build it again."
            )
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise CheckpointError(f"'{path}' does not use inner products; build it again.")
        if isinstance(index, faiss.IndexScalarQuantizer) and index.code_size != 2 * index.d:
            raise CheckpointError(f"'{path}' does not hold 16-bit values; build it again with 'SQfp16'.")
        return cls(index, factory)

    @classmethod
    def clean_up(cls, folder: Path, keep: FlatScan | None = None) -> bool:
        """Delete the file of a replaced index."""
        if keep is None:
            (folder / _FILE).unlink(missing_ok=True)
        return True

    def __len__(self) -> int:
        """Return the number of training images."""
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Dimension of the rows."""
        return int(self._index.d)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows."""
        if not self._index.is_trained:
            self._index.train(rows)
        self._index.add(rows)

    def reserve(self, count: int) -> None:
        """Allocate memory for `count` rows, so that adding blocks never copies earlier ones."""
        self._index.codes.resize(count * self._index.code_size)
        self._index.codes.resize(0)

    def save(self, folder: Path) -> None:
        """Write the FAISS index through a Python file: FAISS's own writer truncates silently on a full disk."""
        with atomic_path(folder / _FILE) as temporary, temporary.open("wb") as handle:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(handle.write))

    def delete(self) -> None:
        """Do nothing: everything is in this process's memory."""

    def nearest(self, queries: NDArray[np.float32], top: int) -> Nearest:
        """Return the `top` nearest of (q, d) unit rows; of equal similarities the one that was added first."""
        ids, best = self._empty_lists(len(queries), top)
        for k, row in enumerate(self._rows(queries)):
            ids[k] = _nearest(row, top)
            best[k] = row[ids[k]]
        return Nearest(ids, best)

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Like `nearest`, plus the rest in `bins` bins."""
        ids, best = self._empty_lists(len(queries), top)
        rests = []
        for k, row in enumerate(self._rows(queries)):
            ids[k] = _nearest(row, top)
            best[k] = row[ids[k]]
            unlisted = np.ones(len(self), dtype=bool)
            unlisted[ids[k]] = False
            rests.append(Rest.from_similarities(row[unlisted], bins))
        return Hits(ids, best, _stack(rests))

    @staticmethod
    def _empty_lists(queries: int, top: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return np.empty((queries, top), dtype=np.int64), np.empty((queries, top), dtype=np.float32)

    def _rows(self, queries: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield each query's similarities to all rows, computed for a bounded number of queries at a time."""
        step = max(1, _SCAN_VALUES // len(self))
        for start in range(0, len(queries), step):
            yield from self._scan(queries[start : start + step])

    def _scan(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.empty((len(queries), len(self)), dtype=np.float32)
        for start, rows in self._decoded():
            np.matmul(queries, rows.T, out=scores[:, start : start + len(rows)])
        # Rounding can push a cosine of unit rows past 1.
        return np.clip(scores, -1.0, 1.0, out=scores)

    def _decoded(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        n, d = len(self), self.dim
        if isinstance(self._index, faiss.IndexFlat):
            yield 0, faiss.rev_swig_ptr(self._index.get_xb(), n * d).reshape(n, d)
            return
        codes = faiss.rev_swig_ptr(self._index.codes.data(), n * d * 2).view(np.float16).reshape(n, d)
        step = max(1, _DECODE_VALUES // d)
        for start in range(0, n, step):
            yield start, codes[start : start + step].astype(np.float32)


def _nearest(row: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    n = row.size
    least = np.partition(row, n - top)[n - top]
    candidates = np.flatnonzero(row >= least)
    order = np.argsort(-row[candidates], kind="stable")[:top]
    return np.asarray(candidates[order], dtype=np.int64)


def _stack(rests: list[Rest]) -> Rest:
    if not rests:
        empty = np.zeros((0, 0))
        return Rest(empty.astype(np.int64), empty, empty, empty)
    return Rest(
        count=np.concatenate([rest.count for rest in rests]),
        mean=np.concatenate([rest.mean for rest in rests]),
        low=np.concatenate([rest.low for rest in rests]),
        high=np.concatenate([rest.high for rest in rests]),
    )
