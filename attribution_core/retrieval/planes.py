"""`SQ8x2`: rows as two planes of 8-bit integers in a mapped file, scanned by integer products.

A row is its largest magnitude / 127, times the sum of a coarse integer and a fine one / 254, both in -127..127. It
takes the room of float16 and is finer. Processors with instructions for 8-bit products (VNNI, AMX) multiply such rows
as fast as they can be read from memory; on others, and for many queries at once, blocks become float32.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from attribution_core.common.files import atomic_path
from attribution_core.errors import CheckpointError
from attribution_core.retrieval.exhaustive import ExhaustiveScan

_LARGEST, _BASE = 127, 254
_BLOCK_VALUES = 1_000_000  # of float32, 4 MB: they stay in the cache
_PRODUCT_ROWS = 500_000
_FEW = 4  # queries: more of them are faster as float32 products
_QUERY_PLANES = 3  # a query's rounding is then below that of float32
_FAST = ("avx512_vnni", "avx_vnni", "amx_int8")  # of `torch.cpu.get_capabilities`

Int8 = NDArray[np.int8]


class PlaneScan(ExhaustiveScan):
    """A full scan over rows of two 8-bit planes."""

    FILE = "index.safetensors"
    factory = "SQ8x2"

    def __init__(self, coarse: Int8, fine: Int8, step: NDArray[np.float32]) -> None:
        """Wrap the planes. coarse, fine: (n, d). step: (n,) value of one coarse unit in each row."""
        self._coarse, self._fine, self._step = coarse, fine, step
        self._count = len(step)

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None = None) -> PlaneScan:
        """Create an empty index for rows of `dim` values."""
        return cls(np.empty((0, dim), np.int8), np.empty((0, dim), np.int8), np.empty(0, np.float32))

    @classmethod
    def open(cls, folder: Path, factory: str) -> PlaneScan:
        """Map the file written by `save` into memory. Raises `CheckpointError` for any other file."""
        path = folder / cls.FILE
        try:
            arrays = _mapped(path)
            coarse, fine, step = (arrays[name] for name in ("coarse", "fine", "step"))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"'{path}' is not an index of two planes; build it again.") from error
        kinds = [array.dtype.str for array in (coarse, fine, step)]
        if (
            kinds != ["|i1", "|i1", "<f4"]
            or coarse.ndim != 2
            or coarse.shape != fine.shape
            or step.shape != coarse.shape[:1]
        ):
            raise CheckpointError(f"'{path}' does not hold two planes of equal size; build it again.")
        return cls(coarse, fine, step)

    def __len__(self) -> int:
        """Return the number of training images."""
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
        """Append (n, d) unit rows."""
        start, self._count = self._count, self._count + len(rows)
        if self._count > len(self._step):
            self.reserve(self._count)
        (self._coarse[start : self._count], self._fine[start : self._count]), step = split(rows, 2)
        self._step[start : self._count] = step

    def save(self, folder: Path) -> None:
        """Write the planes."""
        n = self._count
        arrays: dict[str, NDArray[Any]] = {
            "coarse": self._coarse[:n],
            "fine": self._fine[:n],
            "step": self._step[:n],
        }
        with atomic_path(folder / self.FILE) as temporary:
            save_file(arrays, temporary)

    def _similarities(self, queries: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        if len(queries) <= _FEW and integer_products_are_fast():
            self._integer_products(queries, scores)
            return
        step = max(1, _BLOCK_VALUES // self.dim)
        for start in range(0, len(self), step):
            rows = slice(start, min(start + step, len(self)))
            block = self._coarse[rows].astype(np.int16)
            block *= _BASE
            block += self._fine[rows]
            np.matmul(queries, block.astype(np.float32).T, out=scores[:, rows])
        scores *= self._step[: len(self)] / np.float32(_BASE)

    def _integer_products(self, queries: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        import torch

        planes, query_step = split(queries, _QUERY_PLANES)
        columns = torch.from_numpy(np.concatenate(planes)).t().contiguous()  # (d, planes * q)
        weight = torch.tensor([1.0 / _BASE**k for k in range(_QUERY_PLANES)])
        for start in range(0, len(self), _PRODUCT_ROWS):
            rows = slice(start, min(start + _PRODUCT_ROWS, len(self)))
            coarse, fine = (
                torch._int_mm(torch.from_numpy(plane[rows]), columns) for plane in (self._coarse, self._fine)
            )
            both = coarse.float().add_(fine, alpha=1.0 / _BASE)
            step = torch.from_numpy(self._step[rows])
            for k in range(len(queries)):
                torch.mul(
                    both[:, k :: len(queries)] @ weight,
                    step * float(query_step[k]),
                    out=torch.from_numpy(scores[k, rows]),
                )


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


def _mapped(path: Path) -> dict[str, NDArray[Any]]:
    """Map a safetensors file into memory: its arrays by name. Pages that are changed stay in this process."""
    with safe_open(path, framework="numpy"):  # checks the header and the file's length
        pass
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    kinds: dict[str, np.dtype[Any]] = {"I8": np.dtype("i1"), "F32": np.dtype("<f4")}
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, shape = 8 + size + entry["data_offsets"][0], tuple(entry["shape"])
            arrays[name] = np.memmap(
                str(path), dtype=kinds[entry["dtype"]], mode="c", offset=first, shape=shape
            )
    return arrays
