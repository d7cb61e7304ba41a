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
from attribution_core.retrieval.exhaustive import ExhaustiveScan

_DECODE_VALUES = 4_000_000


class FlatScan(ExhaustiveScan):
    """A full scan over a FAISS `Flat` or `SQfp16` index, in float32, with 16 MB of decoded rows at a time.

    FAISS's own SQfp16 search rounds the query to 16 bits on some processors, which shifts a similarity by about 1e-5.
    """

    FILE = "index.faiss"

    def __init__(self, index: Any, factory: str) -> None:
        """Wrap a FAISS inner-product index. factory: "Flat" or "SQfp16"."""
        self._index, self.factory = index, factory
        self._few: NDArray[np.float32] | None = None

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None = None) -> FlatScan:
        """Create an empty index for rows of `dim` values."""
        return cls(faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT), factory)

    @classmethod
    def open(cls, folder: Path, factory: str) -> FlatScan:
        """Read what `save` wrote. Raises `CheckpointError` for any other file."""
        path = folder / cls.FILE
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

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in their order, (b, d) at a time."""
        step = max(1, _DECODE_VALUES // self.dim)
        for _, decoded in self._decoded():
            for start in range(0, len(decoded), step):
                yield decoded[start : start + step].copy()  # which may outlive FAISS's own memory

    def reserve(self, count: int) -> None:
        """Allocate memory for `count` rows, so that adding blocks never copies earlier ones."""
        self._index.codes.resize(count * self._index.code_size)
        self._index.codes.resize(0)

    def save(self, folder: Path) -> None:
        """Write the FAISS index through a Python file: FAISS's own writer truncates silently on a full disk."""
        with atomic_path(folder / self.FILE) as temporary, temporary.open("wb") as handle:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(handle.write))

    def _similarities(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        products = np.empty((len(queries), len(self)), dtype=np.float32)
        for start, rows in self._decoded():
            np.matmul(queries, rows.T, out=products[:, start : start + len(rows)])
        return np.clip(products, -1.0, 1.0, out=products)  # rounding can push a cosine of unit rows past 1

    def _decoded(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        n, d = len(self), self.dim
        if isinstance(self._index, faiss.IndexFlat):
            yield 0, faiss.rev_swig_ptr(self._index.get_xb(), n * d).reshape(n, d)
            return
        codes = faiss.rev_swig_ptr(self._index.codes.data(), n * d * 2).view(np.float16).reshape(n, d)
        if codes.size <= _DECODE_VALUES:  # kept: decoding takes longer than the rest of a search
            if self._few is None or len(self._few) != n:
                self._few = codes.astype(np.float32)
            yield 0, self._few
            return
        step = max(1, _DECODE_VALUES // d)
        for start in range(0, n, step):
            yield start, codes[start : start + step].astype(np.float32)
