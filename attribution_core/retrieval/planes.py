"""`SQ8x2`: rows as two planes of 8-bit integers in a mapped file, scanned by integer products.

A row is its largest magnitude / 127, times the sum of a coarse integer and a fine one / 254, both in -127..127. It
takes the room of float16 and is finer. Processors with instructions for 8-bit products (VNNI, AMX) multiply such rows
as fast as they can be read from memory; on others, and for many queries at once, blocks become float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from attribution_core.common.files import atomic_path
from attribution_core.common.mapped import mapped
from attribution_core.errors import CheckpointError
from attribution_core.retrieval.exhaustive import ExhaustiveScan

_LARGEST, _BASE = 127, 254
_BLOCK_VALUES = 1_000_000  # of float32, 4 MB: they stay in the cache
_PRODUCT_ROWS = 500_000
_FEW = 4  # queries: more of them are faster as float32 products
_QUERY_PLANES = 3  # a query's rounding is then below that of float32
_FAST = ("avx512_vnni", "avx_vnni", "amx_int8")  # of `torch.cpu.get_capabilities`

Int8 = NDArray[np.int8]


class Queries:
    """Queries (q, d), in float32 and as 8-bit planes."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        """Keep the rows, (q, d)."""
        self.rows = rows

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.rows)

    @cached_property
    def planes(self) -> tuple[Any, NDArray[np.float32]]:
        """(d, planes * q) tensor of all planes, coarsest first, and (q,) value of one coarse unit."""
        import torch

        planes, step = split(self.rows, _QUERY_PLANES)
        return torch.from_numpy(np.concatenate(planes)).t().contiguous(), step


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
        (self._coarse[start : self._count], self._fine[start : self._count]), step = split(rows, 2)
        self._step[start : self._count] = step

    def take(self, rows: NDArray[np.int64] | slice) -> Planes:
        """Return some of the rows."""
        return Planes(*(array[rows] for array in self.arrays.values()))

    def join(self, parts: Sequence[slice]) -> Planes:
        """Return a copy of some parts of the rows, one after another."""
        return Planes(*(np.concatenate([array[part] for part in parts]) for array in self.arrays.values()))

    def floats(self) -> NDArray[np.float32]:
        """(n, d) the rows in float32."""
        return self._units(slice(0, self._count)) * (self._step[: self._count, None] / np.float32(_BASE))

    def products(self, queries: Queries, part: slice, out: NDArray[np.float32]) -> None:
        """Write the inner products of q queries with a part of the rows to out, (q, rows of the part)."""
        if len(queries) <= _FEW and integer_products_are_fast():
            self._integer_products(queries, part, out)
            return
        step = max(1, _BLOCK_VALUES // self.dim)
        for start in range(part.start, part.stop, step):
            rows = slice(start, min(start + step, part.stop))
            here = slice(rows.start - part.start, rows.stop - part.start)
            np.matmul(queries.rows, self._units(rows).T, out=out[:, here])
        out *= self._step[part] / np.float32(_BASE)

    def _units(self, rows: slice) -> NDArray[np.float32]:
        block = self._coarse[rows].astype(np.int16)
        block *= _BASE
        block += self._fine[rows]
        return block.astype(np.float32)

    def _integer_products(self, queries: Queries, part: slice, out: NDArray[np.float32]) -> None:
        import torch

        columns, query_step = queries.planes
        coarse, fine = (
            torch._int_mm(torch.from_numpy(plane[part]), columns) for plane in (self._coarse, self._fine)
        )
        both = coarse.float().add_(fine, alpha=1.0 / _BASE)
        step = torch.from_numpy(self._step[part])
        for k in range(len(queries)):
            torch.mul(
                both[:, k :: len(queries)] @ _plane_weights(),
                step * float(query_step[k]),
                out=torch.from_numpy(out[k]),
            )


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

    def save(self, folder: Path) -> None:
        """Write the planes."""
        with atomic_path(folder / self.FILE) as temporary:
            save_file(self._planes.arrays, temporary)

    def _similarities(self, queries: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        wanted = Queries(queries)
        for start in range(0, len(self), _PRODUCT_ROWS):
            part = slice(start, min(start + _PRODUCT_ROWS, len(self)))
            self._planes.products(wanted, part, scores[:, part])


def split(rows: NDArray[np.float32], planes: int) -> tuple[list[Int8], NDArray[np.float32]]:
    """Return 8-bit planes, coarsest first, and each row's step: row = step * sum of plane[k] / 254**k, rounded."""
    step = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / np.float32(_LARGEST)
    left = rows.astype(np.float64) / step[:, None]
    digits = []
    for _ in range(planes):
        digit = np.clip(np.rint(left), -_LARGEST, _LARGEST)
        digits.append(digit.astype(np.int8))
        left = (left - digit) * _BASE
    return digits, step.astype(np.float32)


@cache
def integer_products_are_fast() -> bool:
    """Whether this processor has instructions for 8-bit products, and PyTorch, which uses them, is installed."""
    try:
        import torch
    except ImportError:
        return False
    can = torch.cpu.get_capabilities()
    return any(can.get(name) for name in _FAST)


def _longer(array: NDArray[Any], count: int) -> NDArray[Any]:
    longer = np.empty((max(count, len(array)), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


@cache
def _plane_weights() -> Any:
    import torch

    return torch.tensor([1.0 / _BASE**k for k in range(_QUERY_PLANES)])
