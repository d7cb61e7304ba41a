"""Retrieval backends: what one can do, and the table of those that there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from attribution_core.errors import unknown_name
from attribution_core.retrieval.hits import Hits, Nearest


class Backend(Protocol):
    """What a retrieval backend can do; one class and one row in `BACKENDS` make a new one."""

    @property
    def factory(self) -> str:
        """How it was asked for, as cards hold it."""

    @property
    def dim(self) -> int:
        """Dimension of the rows."""

    def __len__(self) -> int:
        """Return the number of training images."""

    @classmethod
    def check(cls, factory: str, folder: Path | None) -> str:
        """Return the factory as cards hold it.

        folder: that of the collection it is to be used in; what else stands in the way of it there is raised, too.
        """

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None) -> Backend:
        """Make an empty one. folder: where it will be saved, if that is known."""

    @classmethod
    def open(cls, folder: Path, factory: str) -> Backend:
        """Read what `save` wrote."""

    @classmethod
    def clean_up(cls, folder: Path, keep: Any = None) -> bool:
        """Delete what the folder's earlier ones left in it and elsewhere, but for `keep`; whether all of it is gone."""

    def reserve(self, count: int) -> None:
        """Take the memory of so many rows at once, where that is of use."""

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows."""

    def nearest(self, queries: NDArray[np.float32], top: int) -> Nearest:
        """Return the `top` nearest of (q, d) unit rows; of equal similarities the one that was added first."""

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """The same, and the rest in `bins` bins."""

    def save(self, folder: Path) -> None:
        """Write its file into a folder that is there."""

    def delete(self) -> None:
        """Delete what is kept outside of this process, of an index that does not come about."""


@dataclass(frozen=True)
class BackendSpec:
    """A row of `BACKENDS`.

    Attributes:
        backend: "module:Class", imported when it is used.
        file: What an index's card lists.
        note: File that says what is kept elsewhere; it stays until that is gone.
    """

    backend: str
    file: str
    note: str = ""

    def load(self) -> type[Backend]:
        """Import the class."""
        module, _, name = self.backend.partition(":")
        loaded: type[Backend] = getattr(import_module(module), name)
        return loaded

    def left_in(self, folder: Path) -> bool:
        """Whether an index of this kind left anything in a folder."""
        return any((folder / name).exists() for name in (self.file, self.note) if name)


_FLAT = BackendSpec("attribution_core.retrieval.flat:FlatScan", "index.faiss")
_MILVUS = BackendSpec(
    "attribution_core.retrieval.milvus.store:MilvusStore", "milvus.safetensors", "milvus.json"
)
BACKENDS: dict[str, BackendSpec] = {
    "Flat": _FLAT,
    "SQfp16": _FLAT,
    "milvus": _MILVUS,
    "milvus+https": _MILVUS,
}
"""By factory, or by what a store's address begins with."""


def spec_of(factory: str) -> BackendSpec:
    """The row of `BACKENDS` for a factory or the address of a store. Raises `UnknownNameError`."""
    name = factory.partition(":")[0]
    if name not in BACKENDS:
        raise unknown_name("index factory", factory, BACKENDS)
    return BACKENDS[name]


def check_factory(factory: str, folder: Path | None = None) -> str:
    """The factory as cards hold it.

    folder: of the collection that is to use it; a store must then be there. Raises `UnknownNameError` for one that is
    in no row of `BACKENDS`, `InvalidInputError` for no address of a store, `CheckpointError` for one out of reach.
    """
    return spec_of(factory).load().check(factory, folder)


def earlier_specs(folder: Path) -> Iterator[BackendSpec]:
    """The rows whose indexes left anything in a folder, each once."""
    for spec in dict.fromkeys(BACKENDS.values()):
        if spec.left_in(folder):
            yield spec
