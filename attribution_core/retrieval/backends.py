"""The protocol of retrieval backends and the table of all backends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.progress import OnProgress
from attribution_core.errors import unknown_name
from attribution_core.retrieval.hits import Hits, Nearest


class Backend(Protocol):
    """The interface of a retrieval backend; a new one is a class and a row in `BACKENDS`."""

    @property
    def factory(self) -> str:
        """The factory name or store address, as cards store it."""

    @property
    def dim(self) -> int:
        """Dimension of the rows."""

    def __len__(self) -> int:
        """Return the number of training images."""

    @classmethod
    def check(cls, factory: str, folder: Path | None) -> str:
        """Return the factory as cards store it.

        folder: of the collection that will use it, if known; a backend that cannot work there raises.
        """

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None) -> Backend:
        """Create an empty backend. folder: where it will be saved, if known."""

    @classmethod
    def open(cls, folder: Path, factory: str) -> Backend:
        """Read what `save` wrote."""

    @classmethod
    def clean_up(cls, folder: Path, keep: Any = None) -> bool:
        """Delete what earlier indexes of this kind left in the folder and elsewhere, except `keep`.

        Returns whether nothing is left behind.
        """

    def reserve(self, count: int) -> None:
        """Allocate memory for `count` rows, where that helps."""

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows."""

    def finish(self, on_progress: OnProgress | None) -> None:
        """Do what search needs, once all rows are added. Called once, and not after `open`."""

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in the order in which they were added, (b, d) at a time, as far as they were kept exactly."""

    def nearest(self, queries: NDArray[np.float32], top: int) -> Nearest:
        """Return the `top` nearest of (q, d) unit rows; of equal similarities the one that was added first."""

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Like `nearest`, plus the rest in `bins` bins."""

    def save(self, folder: Path) -> None:
        """Write the backend's file into an existing folder."""

    def delete(self) -> None:
        """Delete whatever an unfinished index has stored outside this process."""


@dataclass(frozen=True)
class BackendSpec:
    """A row of `BACKENDS`.

    Attributes:
        backend: "module:Class", imported on first use.
        file: Name of its file, which the index's card lists.
        note: Name of a file that records rows kept elsewhere; it stays until they are deleted.
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
        """Whether a folder holds files of an index of this kind."""
        return any((folder / name).exists() for name in (self.file, self.note) if name)


_FLAT = BackendSpec("attribution_core.retrieval.flat:FlatScan", "index.faiss")
_PLANES = BackendSpec("attribution_core.retrieval.planes:PlaneScan", "index.safetensors")
_CELLS = BackendSpec("attribution_core.retrieval.cells:CellScan", "cells.safetensors")
_MILVUS = BackendSpec(
    "attribution_core.retrieval.milvus.store:MilvusStore", "milvus.safetensors", "milvus.json"
)
BACKENDS: dict[str, BackendSpec] = {
    "Flat": _FLAT,
    "SQfp16": _FLAT,
    "SQ8x2": _PLANES,
    "IVF": _CELLS,
    "milvus": _MILVUS,
    "milvus+https": _MILVUS,
}
"""By factory name, or by the scheme of a store's address."""
AUTO = "auto"
"""In place of a factory: the one that suits the number of rows."""
EXACT_UP_TO = 200_000
"""Rows that `AUTO` keeps in an exact index, `SQ8x2`; more are divided into cells, `IVF`."""


def suited_to(count: int) -> str:
    """Return the factory that `AUTO` means for a number of rows."""
    return "SQ8x2" if count <= EXACT_UP_TO else "IVF"


def spec_of(factory: str) -> BackendSpec:
    """Return the row of `BACKENDS` for a factory or store address. Raises `UnknownNameError`."""
    name = factory.partition(":")[0]
    if name not in BACKENDS:
        raise unknown_name("index factory", factory, [AUTO, *BACKENDS])
    return BACKENDS[name]


def check_factory(factory: str, folder: Path | None = None) -> str:
    """Validate a factory, or `AUTO`, and return it as cards store it.

    folder: of the collection that will use it; if given, a store must be reachable. Raises `UnknownNameError` for a
    factory that is not in `BACKENDS`, `InvalidInputError` for an invalid store address, and `CheckpointError` for an
    unreachable store.
    """
    return AUTO if factory == AUTO else spec_of(factory).load().check(factory, folder)


def earlier_specs(folder: Path) -> Iterator[BackendSpec]:
    """Yield the row of every kind of index that has files in a folder, each once."""
    for spec in dict.fromkeys(BACKENDS.values()):
        if spec.left_in(folder):
            yield spec
