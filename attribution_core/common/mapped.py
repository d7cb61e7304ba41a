"""Arrays in a safetensors file, mapped into memory, and written without a copy in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

_KINDS = {"I8": "|i1", "I64": "<i8", "F32": "<f4"}


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of the kinds that `mapped` reads; safetensors' own writer holds a copy of all of them in memory.

    Raises `OSError` where they cannot be written, such as on a full disk.
    """
    names = {kind: name for name, kind in _KINDS.items()}
    header, end = {}, 0
    # So that each begins at a multiple of its values' size.
    parts = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    for name, array in parts:
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": names[array.dtype.str], "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in parts:
            array.tofile(file)


def mapped(path: Path) -> dict[str, NDArray[Any]]:
    """Map a file's arrays by name. Pages that are changed stay in this process.

    Raises `SafetensorError`, `OSError`, `KeyError` or `ValueError` for a file that is damaged or holds other kinds of
    numbers.
    """
    with safe_open(path, framework="numpy"):  # checks the header and the file's length
        pass
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, shape = 8 + size + entry["data_offsets"][0], tuple(entry["shape"])
            kind = _KINDS[entry["dtype"]]
            # As a plain array, whose slices are made ten times as fast.
            arrays[name] = np.asarray(np.memmap(str(path), dtype=kind, mode="c", offset=first, shape=shape))
    return arrays
