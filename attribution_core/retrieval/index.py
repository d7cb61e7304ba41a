"""Cosine search over training images that also summarises all unlisted ones."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from numpy.typing import ArrayLike

from attribution_core.common.arrays import unit_rows, whole
from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.retrieval.backends import Backend, check_factory, earlier_specs, spec_of
from attribution_core.retrieval.hits import Hits, Nearest
from attribution_core.retrieval.rest import DEFAULT_BINS


class TrainingIndex:
    """The training images' mapped features, searchable by cosine; immutable after `build` or `load`."""

    def __init__(self, backend: Backend, encoder: str = "") -> None:
        """Wrap a backend; use `build` or `load` instead."""
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
            factory: A name in `BACKENDS`, or the address of a Milvus store.
            encoder: Name of the encoder that computed the features; saved with the index.
            home: The folder that the index will be saved to. A store's relative file lies beside it. It notes what is
                created in a store beforehand, so that `discard` can delete what an interrupted run left there.

        Raises:
            UnknownNameError: No such backend.
            InvalidInputError: There are no rows, they are not finite or not unit length, or a store's address is
                invalid.
            CheckpointError: A store cannot be reached.
        """
        return cls.build_from([train], factory, encoder, home=home)

    @classmethod
    def build_from(
        cls,
        blocks: Iterable[ArrayLike],
        factory: str = "Flat",
        encoder: str = "",
        count: int | None = None,
        home: Path | None = None,
    ) -> TrainingIndex:
        """Index rows that come in blocks; only one block is held at a time.

        count: total number of rows, if known, to allocate their memory once. Other arguments and errors are those of
        `build`; also raises `InvalidInputError` if the number of rows is not `count`.
        """
        factory = check_factory(factory)
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
            if backend is None:
                raise InvalidInputError("train has no rows; an index needs at least one training image.")
            if count is not None and len(backend) != count:
                raise InvalidInputError(f"the blocks hold {len(backend)} rows, expected {count}.")
        except BaseException:
            if backend is not None:
                with contextlib.suppress(AttributionError):  # report the first error, not this one
                    backend.delete()
            raise
        return cls(backend, encoder)

    def nearest(self, query: ArrayLike, top: int = 100) -> Nearest:
        """Find the nearest training images of each query, without the rest.

        Arguments and errors are those of `search`. Returns ids and similarity (q, top), descending in [-1, 1].
        """
        top = whole("top", top, 1, len(self))
        return self._backend.nearest(unit_rows("query", query, self.dim), top)

    def search(self, query: ArrayLike, top: int = 100, bins: int = DEFAULT_BINS) -> Hits:
        """Find the nearest training images of each query.

        Args:
            query: (q, d) unit rows, from `MapperPair.map_query`.
            top: How many to list, 1..len(self).
            bins: Number of bins of the rest; 4096 bound its sum to 1e-4 at temperature 0.02.

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
        """Write the backend's file and card.json into a folder, and delete the index they replace.

        A missing folder is created.
        """
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
        """Delete a saved or half-built index, including its rows in a store; a missing one is not an error.

        If a store cannot be reached, the folder keeps the note of what is there for the next call.
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
        card = read_card(folder)
        lacking = [key for key in ("encoder", "factory", "dim", "count", "files") if key not in card]
        if lacking:
            raise CheckpointError(
                f"'{folder}/card.json' lacks {', '.join(lacking)}; is it an index? Save it again."
            )
        if encoder is not None and card["encoder"] != encoder:
            raise CollectionMismatchError(
                f"the index in '{folder}' was built with encoder {card['encoder']!r}, expected {encoder!r}; "
                "build it again or use its own encoder."
            )
        verify_files(folder)
        factory = check_factory(str(card["factory"]))
        backend = spec_of(factory).load().open(folder, factory)
        index = cls(backend, card["encoder"])
        shape, expected = (len(index), backend.dim), (card["count"], card["dim"])
        if shape != expected:
            raise CheckpointError(f"'{folder}' has shape {shape}, but its card says {expected}.")
        return index
