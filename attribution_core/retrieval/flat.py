"""FAISS `Flat` and `SQfp16`: every row in this process's memory, and read for every search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from attribution_core.errors import CheckpointError
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest

_SCAN_VALUES = 16_000_000
_DECODE_VALUES = 4_000_000


class FlatScan:
    """FAISS `Flat` or `SQfp16`, read in full for every search, so that the rest is known exactly.

    Listed similarities and the rest come from one pass over the rows as FAISS decodes them, in float32.
    (FAISS's own SQfp16 search rounds the query to 16 bits on some processors, which moves a similarity by
    some 1e-5; two passes would then disagree.) Beyond the index itself, memory is bounded: about 64 MB of
    similarities and 16 MB of decoded rows at a time.
    """

    def __init__(self, index: Any) -> None:
        """Wrap a FAISS index with inner product."""
        self._index = index

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
        """Take the memory of so many rows at once, so that adding blocks of them never copies what is there."""
        self._index.codes.resize(count * self._index.code_size)
        self._index.codes.resize(0)

    def write(self, path: Path) -> None:
        """Write the FAISS index to a file."""
        faiss.write_index(self._index, str(path))

    def drop(self) -> None:
        """Nothing: all of it goes with this process."""

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Return the `top` nearest of (q, d) unit rows, and the rest in `bins` bins.

        Of equal similarities the one that was added first comes first.
        """
        n, q = len(self), len(queries)
        ids = np.empty((q, top), dtype=np.int64)
        best = np.empty((q, top), dtype=np.float32)
        rests = []
        step = max(1, _SCAN_VALUES // n)
        for start in range(0, q, step):
            block = self._scan(queries[start : start + step])
            for offset, row in enumerate(block):
                listed = _nearest(row, top)
                ids[start + offset], best[start + offset] = listed, row[listed]
                unlisted = np.ones(n, dtype=bool)
                unlisted[listed] = False
                rests.append(Rest.from_similarities(row[unlisted], bins))
        return Hits(ids, best, _stack(rests))

    def _scan(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.empty((len(queries), len(self)), dtype=np.float32)
        for start, rows in self._decoded():
            np.matmul(queries, rows.T, out=scores[:, start : start + len(rows)])
        # Rounding alone carries a cosine of unit rows past 1.
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


def create_scan(factory: str, dim: int) -> FlatScan:
    """Make an empty index for rows of `dim` values. factory: "Flat" or "SQfp16"."""
    return FlatScan(faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT))


def read_scan(path: Path) -> FlatScan:
    """Read what `FlatScan.write` wrote. Raises `CheckpointError` for what is no such index."""
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise CheckpointError(f"'{path}' is no FAISS index; build or download it again.") from error
    if not isinstance(index, faiss.IndexFlat | faiss.IndexScalarQuantizer):
        raise CheckpointError(
            f"'{path}' is a {type(index).__name__}, expected Flat or SQfp16; build it again."
        )
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise CheckpointError(f"'{path}' does not measure inner products; build it again.")
    if isinstance(index, faiss.IndexScalarQuantizer) and index.code_size != 2 * index.d:
        raise CheckpointError(f"'{path}' does not hold 16-bit values; build it again with 'SQfp16'.")
    return FlatScan(index)


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
