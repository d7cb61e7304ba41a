"""Retrieval backends: what one can do, and the table of those that there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attribution_core.errors import unknown_name
from attribution_core.retrieval.flat import create_scan, read_scan
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.milvus.address import SCHEMES, Address, reach
from attribution_core.retrieval.milvus.store import FILE, create_store, read_store

_FILE = "index.faiss"


class Backend(Protocol):
    """What a retrieval backend can do; one class and one row in `BACKENDS` make a new one."""

    def __len__(self) -> int:
        """Return the number of training images."""

    @property
    def dim(self) -> int:
        """Dimension of the rows."""

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows."""

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Return the `top` nearest of (q, d) unit rows, and the rest in `bins` bins."""

    def write(self, path: Path) -> None:
        """Write everything to one file, or where it is."""

    def drop(self) -> None:
        """Delete what is kept outside of this process, of an index that does not come about."""


@dataclass(frozen=True)
class BackendSpec:
    """A row of `BACKENDS`.

    Attributes:
        name: FAISS factory string, or of a store what its address begins with; also the name in files and commands.
        bytes_per_value: Memory of this process for one feature value.
        exact: Whether a search reads every row.
        note: One sentence for users.
        create: Makes an empty backend from a factory, a dimension, and the folder that will be saved to, if known.
        read: Reads what `write` wrote.
        file: What is written is called so.
    """

    name: str
    bytes_per_value: int
    exact: bool
    note: str
    create: Callable[[str, int, Path | None], Backend]
    read: Callable[[Path], Backend]
    file: str = _FILE


BACKENDS: dict[str, BackendSpec] = {
    "Flat": BackendSpec(
        name="Flat",
        bytes_per_value=4,
        exact=True,
        note="32-bit values, every row read: exact. For up to some hundred thousand images.",
        create=lambda factory, dim, home: create_scan(factory, dim),
        read=read_scan,
    ),
    "SQfp16": BackendSpec(
        name="SQfp16",
        bytes_per_value=2,
        exact=True,
        note="16-bit values, every row read: half the memory, similarities within 0.001.",
        create=lambda factory, dim, home: create_scan(factory, dim),
        read=read_scan,
    ),
    "milvus": BackendSpec(
        name="milvus",
        bytes_per_value=0,
        exact=True,
        note="'milvus://HOST:PORT', or 'milvus:FILE.db' in a file: rows in Milvus, every row read there; of more than "
        "16,384 images the shares' intervals hold with 99 % confidence.",
        create=create_store,
        read=read_store,
        file=FILE,
    ),
}


def known_factory(factory: str) -> str:
    """The factory as cards hold it.

    Raises `UnknownNameError` for one that is in no row of `BACKENDS`, `InvalidInputError` for no address of a store.
    """
    backend_of(factory)
    return factory if factory in BACKENDS and factory not in SCHEMES else Address.parse(factory, Path()).text


def check_store(factory: str, folder: Path) -> None:
    """Raise what stands in the way of a store that a collection's folder is to use; nothing for other factories."""
    if factory.partition(":")[0] in SCHEMES:
        reach(Address.parse(factory, folder))


def backend_of(factory: str) -> BackendSpec:
    """The row of `BACKENDS` for a factory or the address of a store. Raises `UnknownNameError`."""
    name = "milvus" if factory.partition(":")[0] in SCHEMES else factory
    if name not in BACKENDS:
        raise unknown_name("index factory", factory, BACKENDS)
    return BACKENDS[name]
