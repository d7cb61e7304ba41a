"""Search for the nearest training images by cosine similarity, with bounds on all others."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import PositiveInt

from attribution_core.common.arrays import unit_rows, whole
from attribution_core.common.cards import PartCard, load_part, write_card
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.errors import AttributionError, CheckpointError, InvalidInputError
from attribution_core.retrieval.backends import (
    AUTO,
    Backend,
    check_factory,
    earlier_specs,
    spec_of,
    suited_to,
)
from attribution_core.retrieval.hits import Hits, Nearest
from attribution_core.retrieval.rest import DEFAULT_BINS


class IndexCard(PartCard):
    """The card of a saved index. factory: as of `TrainingIndex`. dim, count: columns and rows."""

    KIND = "an index"
    factory: str
    dim: PositiveInt
    count: PositiveInt


class TrainingIndex:
    """The training images' mapped features, searchable by cosine.

    Use `build` or `load` to make one; it never changes afterwards.
    """

    def __init__(self, backend: Backend, encoder: str = "") -> None:
        """Store the parts; use `build` or `load` instead of this."""
        self._backend = backend
        self.encoder = encoder

    @property
    def factory(self) -> str:
        """A name in `BACKENDS`, or the address of a store."""
        return self._backend.factory

    @property
    def dim(self) -> int:
        """Dimension of the rows."""
        return self._backend.dim

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self._backend)

    def __repr__(self) -> str:
        """Return the kind, size and encoder."""
        return f"TrainingIndex({self.factory}, {len(self)} x {self.dim}, encoder={self.encoder!r})"

    @classmethod
    def build(
        cls, train: ArrayLike, factory: str = "Flat", encoder: str = "", home: Path | None = None
    ) -> TrainingIndex:
        """Index the rows in their order.

        Args:
            train: (n, d) float32 unit rows, from `MapperPair.map_training`.
            factory: A name in `BACKENDS`, the address of a Milvus store, or "auto": `SQ8x2` for up to 200,000 rows,
                else `IVF`.
            encoder: Name of the encoder that made the features; kept with the index.
            home: The folder that it will be saved to. A store's relative file is put next to it. Whatever is created in
                a store is first noted in it, so that `discard` can delete what an interrupted run left.

        Raises:
            UnknownNameError: No such backend.
            InvalidInputError: Rows are not of unit length, not finite, or there are none; the address is not valid.
            CheckpointError: A store cannot be reached.
        """
        count = len(train) if isinstance(train, Sized) else None
        return cls.build_from([train], factory, encoder, count, home)

    @classmethod
    def build_from(
        cls,
        blocks: Iterable[ArrayLike],
        factory: str = "Flat",
        encoder: str = "",
        count: int | None = None,
        home: Path | None = None,
        on_progress: OnProgress | None = None,
    ) -> TrainingIndex:
        """Build from blocks of rows, of which only one is in memory at a time.

        count: number of rows in all, if known, to allocate their memory once; "auto" needs it. on_progress: called
        after each block. Raises what `build` raises, and `InvalidInputError` if the blocks hold another number of rows.
        """
        factory = check_factory(factory)
        if factory == AUTO:
            if count is None:
                raise InvalidInputError("the factory 'auto' follows from the number of rows; give `count`.")
            factory = suited_to(count)
        backend: Backend | None = None
        try:
            for block in blocks:
                rows = unit_rows("train", block, None if backend is None else backend.dim)
                if not len(rows):
                    continue
                if backend is None:
                    backend = spec_of(factory).load().create(factory, rows.shape[1], home)
                    if count is not None:
                        backend.reserve(count)
                backend.add(rows)
                if on_progress:
                    on_progress(Progress("indexing", len(backend), count))
            if backend is None:
                raise InvalidInputError("train has no rows; an index needs at least one training image.")
            if count is not None and len(backend) != count:
                raise InvalidInputError(f"the blocks hold {len(backend)} rows, expected {count}.")
            backend.finish(on_progress)
        except BaseException:
            if backend is not None:
                with contextlib.suppress(AttributionError):  # the first error is the one to report
                    backend.delete()
            raise
        return cls(backend, encoder)

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Yield all unit rows in the order of the corpus, (b, d) float32 at a time, as precise as the backend is."""
        return self._backend.rows()

    def nearest(self, query: ArrayLike, top: int = 100) -> Nearest:
        """Find the nearest training images of each query, without bounds on the others.

        Arguments and errors are those of `search`. Returns ids and similarity (q, top), descending in [-1, 1].
        """
        top = whole("top", top, 1, len(self))
        return self._backend.nearest(unit_rows("query", query, self.dim), top)

    def search(self, query: ArrayLike, top: int = 100, bins: int = DEFAULT_BINS) -> Hits:
        """Find the nearest training images of each query.

        Args:
            query: (q, d) unit rows, from `MapperPair.map_query`.
            top: How many to list, 1..len(self).
            bins: Resolution of the rest; 4096 bound its sum to 1e-4 at temperature 0.02.

        Returns:
            Hits with ids and similarity (q, top), descending in [-1, 1], and the rest of each query.

        Raises:
            CollectionMismatchError: `d != self.dim`.
            InvalidInputError: `top` is out of range, or rows are not finite or not unit length.
        """
        top = whole("top", top, 1, len(self))
        bins = whole("bins", bins, 1)
        return self._backend.search(unit_rows("query", query, self.dim), top, bins)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the backend's file and card.json into a folder, made if missing; delete what they replace."""
        folder, ours = Path(directory), spec_of(self.factory)
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(folder)
        write_card(
            folder,
            {
                "what": "index over mapped features of training images",
                "encoder": self.encoder,
                "factory": self.factory,
                "dim": self.dim,
                "count": len(self),
                "files": [ours.file],
            },
        )
        for spec in earlier_specs(folder):
            spec.load().clean_up(folder, self._backend if spec is ours else None)

    @staticmethod
    def discard(directory: str | os.PathLike[str]) -> None:
        """Delete a saved or half-built index, including what it keeps in a store; a missing one is not an error.

        If a store cannot be reached, a note of what is in it stays in the folder for the next call.
        """
        folder = Path(directory)
        notes = [spec.note for spec in earlier_specs(folder) if not spec.load().clean_up(folder)]
        if not notes:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for item in folder.iterdir():
            if item.name not in notes:
                item.unlink()

    @classmethod
    def load(cls, directory: str | os.PathLike[str], encoder: str | None = None) -> TrainingIndex:
        """Read what `save` wrote.

        Args:
            directory: The folder.
            encoder: If given, the encoder that the index must have been built with.

        Raises:
            CheckpointError: Files are missing, damaged, or not what the card says.
            CollectionMismatchError: The index was built with another encoder.
        """
        folder = Path(directory)
        card = load_part(folder, IndexCard, encoder)
        factory = check_factory(card.factory)
        index = cls(spec_of(factory).load().open(folder, factory), card.encoder)
        actual, expected = (len(index), index.dim), (card.count, card.dim)
        if actual != expected:
            raise CheckpointError(f"'{folder}' holds {actual} rows and columns, its card says {expected}.")
        return index
