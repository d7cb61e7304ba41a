"""`SQ8x2`: rows as two planes of 8-bit integers in a mapped file, scanned by integer products.

A row is its largest magnitude / 127, times the sum of a coarse integer and a fine one / 254, both in -127..127. It
takes the room of float16 and is finer. Processors with instructions for 8-bit products (VNNI, AMX) multiply such rows
as fast as they can be read from memory; on others, and for many queries at once, blocks become float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from attribution_core.common.files import atomic_path
from attribution_core.common.mapped import mapped, write_arrays
from attribution_core.errors import CheckpointError
from attribution_core.retrieval import kernels
from attribution_core.retrieval.exhaustive import ExhaustiveScan

_LARGEST = 127
_BLOCK = 20_000  # rows

Int8 = NDArray[np.int8]


class Planes:
    """Rows as two planes of 8-bit integers; grows by blocks of rows."""

    def __init__(self, coarse: Int8, fine: Int8, step: NDArray[np.float32]) -> None:
        """Wrap the planes. coarse, fine: (n, d). step: (n,) value of one coarse unit in each row."""
        self._coarse, self._fine, self._step = coarse, fine, step
        self._count = len(step)

    @classmethod
    def empty(cls, dim: int) -> Planes:
        """No rows of `dim` values."""
        return cls(np.empty((0, dim), np.int8), np.empty((0, dim), np.int8), np.empty(0, np.float32))

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> Planes:
        """Wrap `arrays` of another one. Raises `KeyError` or `ValueError` where they are not such planes."""
        coarse, fine, step = (arrays[name] for name in ("coarse", "fine", "step"))
        kinds = [array.dtype.str for array in (coarse, fine, step)]
        if kinds != ["|i1", "|i1", "<f4"] or coarse.ndim != 2 or coarse.shape != fine.shape:
            raise ValueError("the planes differ in size or kind")
        if step.shape != coarse.shape[:1]:
            raise ValueError("there is not one step a row")
        return cls(coarse, fine, step)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, as they are stored."""
        n = self._count
        return {"coarse": self._coarse[:n], "fine": self._fine[:n], "step": self._step[:n]}

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    @property
    def dim(self) -> int:
        """Dimension of the rows."""
        return int(self._coarse.shape[1])

    def reserve(self, count: int) -> None:
        """Allocate memory for `count` rows, so that adding blocks never copies earlier ones."""
        self._coarse, self._fine = (_longer(plane, count) for plane in (self._coarse, self._fine))
        self._step = _longer(self._step, count)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) rows."""
        start, self._count = self._count, self._count + len(rows)
        if self._count > len(self._step):
            self.reserve(self._count)
        new = slice(start, self._count)
        self._coarse[new], self._fine[new], self._step[new] = split(rows)

    def sort(self, order: NDArray[np.int64]) -> None:
        """Bring the rows into an order, (n,); one plane is copied at a time."""
        n = self._count
        self._coarse = self._coarse[:n][order]
        self._fine = self._fine[:n][order]
        self._step = self._step[:n][order]

    def take(self, rows: NDArray[np.int64] | slice) -> Planes:
        """Return some of the rows."""
        return Planes(*(array[rows] for array in self.arrays.values()))

    def floats(self) -> NDArray[np.float32]:
        """(n, d) the rows in float32."""
        coarse, fine, step = self.arrays.values()
        return (coarse + fine / np.float32(kernels.FINE)) * step[:, None]

    def similarities(
        self, queries: NDArray[np.float32], start: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return similarities of (q, d) unit queries to parts of the rows, (q, m), one part after another.

        start, stop: (p,) of each part.
        """
        coarse, fine, step = self.arrays.values()
        products = kernels.products(coarse, fine, step, queries, start, stop)
        return np.clip(products, -1.0, 1.0, out=products)  # rounding can push a cosine of unit rows past 1


class PlaneScan(ExhaustiveScan):
    """A full scan over rows of two 8-bit planes."""

    FILE = "index.safetensors"
    factory = "SQ8x2"

    def __init__(self, rows: Planes) -> None:
        """Wrap the rows."""
        self._planes = rows

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None = None) -> PlaneScan:
        """Create an empty index for rows of `dim` values."""
        return cls(Planes.empty(dim))

    @classmethod
    def open(cls, folder: Path, factory: str) -> PlaneScan:
        """Map the file written by `save` into memory. Raises `CheckpointError` for any other file."""
        path = folder / cls.FILE
        try:
            return cls(Planes.of(mapped(path)))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"'{path}' is not an index of two planes of equal size; build it again."
            ) from error

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self._planes)

    @property
    def dim(self) -> int:
        """Dimension of the rows."""
        return self._planes.dim

    def reserve(self, count: int) -> None:
        """Allocate memory for `count` rows, so that adding blocks never copies earlier ones."""
        self._planes.reserve(count)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows."""
        self._planes.add(rows)

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in their order, (b, d) at a time."""
        for some in blocks(len(self)):
            yield self._planes.take(some).floats()

    def save(self, folder: Path) -> None:
        """Write the planes."""
        with atomic_path(folder / self.FILE) as temporary:
            write_arrays(temporary, self._planes.arrays)

    def _similarities(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._planes.similarities(queries, *kernels.parts_of(len(self)))


def blocks(n: int) -> Iterator[slice]:
    """Yield n rows in parts of which each takes little memory in float32."""
    for start in range(0, n, _BLOCK):
        yield slice(start, min(start + _BLOCK, n))


def split(rows: NDArray[np.float32]) -> tuple[Int8, Int8, NDArray[np.float32]]:
    """Return coarse and fine plane of rows and each row's step: row = step * (coarse + fine / 254), rounded."""
    step = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / np.float32(_LARGEST)
    left = rows.astype(np.float64) / step[:, None]
    coarse = np.clip(np.rint(left), -_LARGEST, _LARGEST)
    fine = np.clip(np.rint((left - coarse) * kernels.FINE), -_LARGEST, _LARGEST)
    return coarse.astype(np.int8), fine.astype(np.int8), step.astype(np.float32)


def _longer(array: NDArray[Any], count: int) -> NDArray[Any]:
    longer = np.empty((max(count, len(array)), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
