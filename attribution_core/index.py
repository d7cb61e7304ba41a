"""Nearest training images by cosine, and what is known of all others, from one full scan."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.cards import atomic_path, read_card, verify_files, write_card
from attribution_core.checks import unit_rows, whole
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError, unknown_name
from attribution_core.rest import DEFAULT_BINS, Rest
from attribution_core.shares import Hits

_FILE = "index.faiss"
_SCAN_VALUES = 16_000_000
_DECODE_VALUES = 4_000_000


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
        """Write everything to one file."""


@dataclass(frozen=True)
class BackendSpec:
    """A row of `BACKENDS`.

    Attributes:
        name: FAISS factory string, also the name in files and commands.
        bytes_per_value: Memory for one feature value.
        exact: Whether a search reads every row.
        note: One sentence for users.
        create: Makes an empty backend of a dimension.
        read: Reads what `write` wrote.
    """

    name: str
    bytes_per_value: int
    exact: bool
    note: str
    create: Callable[[int], Backend]
    read: Callable[[Path], Backend]


class FlatScan:
    """FAISS `Flat` or `SQfp16`, read in full for every search, so that the rest is known exactly.

    Listed similarities and the rest come from one pass over the rows as FAISS decodes them, in float32.
    (FAISS's own SQfp16 search rounds the query to 16 bits on some processors, which moves a similarity by
    some 1e-5; two passes would then disagree.) Beyond the index itself, memory is bounded: about 64 MB of
    similarities and 16 MB of decoded rows at a time.
    """

    def __init__(self, index: Any) -> None:
        """Wrap a FAISS index with inner product."""
        self._index = index

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

    def reserve(self, count: int) -> None:
        """Take the memory of so many rows at once, so that adding blocks of them never copies what is there."""
        self._index.codes.resize(count * self._index.code_size)
        self._index.codes.resize(0)

    def write(self, path: Path) -> None:
        """Write the FAISS index to a file."""
        faiss.write_index(self._index, str(path))

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Return the `top` nearest of (q, d) unit rows, and the rest in `bins` bins.

        Of equal similarities the one that was added first comes first.
        """
        n, q = len(self), len(queries)
        ids = np.empty((q, top), dtype=np.int64)
        best = np.empty((q, top), dtype=np.float32)
        rests = []
        step = max(1, _SCAN_VALUES // n)
        for start in range(0, q, step):
            block = self._scan(queries[start : start + step])
            for offset, row in enumerate(block):
                listed = _nearest(row, top)
                ids[start + offset], best[start + offset] = listed, row[listed]
                unlisted = np.ones(n, dtype=bool)
                unlisted[listed] = False
                rests.append(Rest.from_similarities(row[unlisted], bins))
        return Hits(ids, best, _stack(rests))

    def _scan(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.empty((len(queries), len(self)), dtype=np.float32)
        for start, rows in self._decoded():
            np.matmul(queries, rows.T, out=scores[:, start : start + len(rows)])
        # Rounding alone carries a cosine of unit rows past 1.
        return np.clip(scores, -1.0, 1.0, out=scores)

    def _decoded(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        n, d = len(self), self.dim
        if isinstance(self._index, faiss.IndexFlat):
            yield 0, faiss.rev_swig_ptr(self._index.get_xb(), n * d).reshape(n, d)
            return
        codes = faiss.rev_swig_ptr(self._index.codes.data(), n * d * 2).view(np.float16).reshape(n, d)
        step = max(1, _DECODE_VALUES // d)
        for start in range(0, n, step):
            yield start, codes[start : start + step].astype(np.float32)


def _create_scan(factory: str) -> Callable[[int], Backend]:
    return lambda dim: FlatScan(faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT))


def _read_scan(path: Path) -> Backend:
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise CheckpointError(f"'{path}' is no FAISS index; build or download it again.") from error
    if not isinstance(index, faiss.IndexFlat | faiss.IndexScalarQuantizer):
        raise CheckpointError(
            f"'{path}' is a {type(index).__name__}, expected Flat or SQfp16; build it again."
        )
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise CheckpointError(f"'{path}' does not measure inner products; build it again.")
    if isinstance(index, faiss.IndexScalarQuantizer) and index.code_size != 2 * index.d:
        raise CheckpointError(f"'{path}' does not hold 16-bit values; build it again with 'SQfp16'.")
    return FlatScan(index)


BACKENDS: dict[str, BackendSpec] = {
    "Flat": BackendSpec(
        name="Flat",
        bytes_per_value=4,
        exact=True,
        note="32-bit values, every row read: exact. For up to some hundred thousand images.",
        create=_create_scan("Flat"),
        read=_read_scan,
    ),
    "SQfp16": BackendSpec(
        name="SQfp16",
        bytes_per_value=2,
        exact=True,
        note="16-bit values, every row read: half the memory, similarities within 0.001.",
        create=_create_scan("SQfp16"),
        read=_read_scan,
    ),
}


class TrainingIndex:
    """The training images' mapped features, searchable by cosine.

    Made by `build` or `load`, never changed afterwards.
    """

    def __init__(self, backend: Backend, *, factory: str, dim: int, encoder: str = "") -> None:
        """Store the parts; use `build` or `load` instead."""
        self._backend = backend
        self.factory = factory
        self.dim = dim
        self.encoder = encoder

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self._backend)

    def __repr__(self) -> str:
        """Return the kind, size and encoder."""
        return f"TrainingIndex({self.factory}, {len(self)} x {self.dim}, encoder={self.encoder!r})"

    @classmethod
    def build(cls, train: ArrayLike, factory: str = "Flat", encoder: str = "") -> TrainingIndex:
        """Index the rows in their order.

        Args:
            train: (n, d) float32 unit rows, from `MapperPair.map_training`.
            factory: A name in `BACKENDS`.
            encoder: Name of the encoder that made the features; kept with the index.

        Raises:
            UnknownNameError: No such backend.
            InvalidInputError: Rows are not of unit length, not finite, or there are none.
        """
        spec = _spec(factory)
        rows = unit_rows("train", train)
        if not len(rows):
            raise InvalidInputError("train has no rows; an index needs at least one training image.")
        backend = spec.create(rows.shape[1])
        backend.add(rows)
        return cls(backend, factory=spec.name, dim=rows.shape[1], encoder=encoder)

    @classmethod
    def build_from(
        cls, blocks: Iterable[ArrayLike], factory: str = "Flat", encoder: str = "", count: int | None = None
    ) -> TrainingIndex:
        """The same from blocks of rows, each of which is let go before the next is asked for.

        count: how many rows there are in all, where that is known: their memory is then taken once. Raises what `build`
        raises, and `InvalidInputError` where not so many rows come.
        """
        spec = _spec(factory)
        backend: Backend | None = None
        for block in blocks:
            rows = unit_rows("train", block, None if backend is None else backend.dim)
            if not len(rows):
                continue
            if backend is None:
                backend = spec.create(rows.shape[1])
                if count is not None and isinstance(backend, FlatScan):
                    backend.reserve(count)
            backend.add(rows)
        if backend is None:
            raise InvalidInputError("train has no rows; an index needs at least one training image.")
        if count is not None and len(backend) != count:
            raise InvalidInputError(f"the blocks hold {len(backend)} rows, {count} were said to come.")
        return cls(backend, factory=spec.name, dim=backend.dim, encoder=encoder)

    def search(self, query: ArrayLike, top: int = 100, bins: int = DEFAULT_BINS) -> Hits:
        """Find the nearest training images of each query.

        Args:
            query: (q, d) unit rows, from `MapperPair.map_query`.
            top: How many to list, 1..len(self).
            bins: How finely the rest is kept; 4096 bound its sum to 1e-4 at temperature 0.02.

        Returns:
            Hits with ids and similarity (q, top), descending in [-1, 1], and the rest of each query.

        Raises:
            CollectionMismatchError: `d != self.dim`.
            InvalidInputError: `top` is out of range, or rows are not of unit length or not finite.
        """
        top = whole("top", top, 1, len(self))
        bins = whole("bins", bins, 1)
        return self._backend.search(unit_rows("query", query, self.dim), top, bins)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write index.faiss and card.json into a folder, made if it is missing."""
        folder = Path(directory)
        with atomic_path(folder / _FILE) as temporary:
            self._backend.write(temporary)
        write_card(
            folder,
            {
                "what": "index over mapped features of training images",
                "encoder": self.encoder,
                "factory": self.factory,
                "dim": self.dim,
                "count": len(self),
                "files": [_FILE],
            },
        )

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
        spec = _spec(card["factory"])
        backend = spec.read(folder / _FILE)
        index = cls(backend, factory=spec.name, dim=backend.dim, encoder=card["encoder"])
        given, expected = (len(index), backend.dim), (card["count"], card["dim"])
        if given != expected:
            raise CheckpointError(f"'{folder}' holds {given} rows and columns, its card says {expected}.")
        return index


def _spec(factory: str) -> BackendSpec:
    if factory not in BACKENDS:
        raise unknown_name("index factory", factory, BACKENDS)
    return BACKENDS[factory]


def _nearest(row: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    n = row.size
    least = np.partition(row, n - top)[n - top]
    candidates = np.flatnonzero(row >= least)
    order = np.argsort(-row[candidates], kind="stable")[:top]
    return np.asarray(candidates[order], dtype=np.int64)


def _stack(rests: list[Rest]) -> Rest:
    if not rests:
        empty = np.zeros((0, 0))
        return Rest(empty.astype(np.int64), empty, empty, empty)
    return Rest(
        count=np.concatenate([rest.count for rest in rests]),
        mean=np.concatenate([rest.mean for rest in rests]),
        low=np.concatenate([rest.low for rest in rests]),
        high=np.concatenate([rest.high for rest in rests]),
    )
