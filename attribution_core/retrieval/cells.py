"""`IVF`: rows sorted by cell in a mapped file; a query scans the nearest cells and estimates the others.

An inverted file (Jegou, Douze and Schmid, *Product Quantization for Nearest Neighbor Search*, TPAMI 2011). Rows are
kept as in `SQ8x2`. Of a cell that is not scanned, the number of rows, their mean and their radius are stored, which
bound the sum over them with certainty, and its first few rows narrow the bounds (`Rest.from_cells`): the rows of a cell
are in random order. Those few rows also tell how far a cell's similarities spread, and so how many of its rows may
belong on the list: cells are scanned until hardly one is expected to be missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from scipy.special import ndtr

from attribution_core.common.files import atomic_path
from attribution_core.common.mapped import mapped, write_arrays
from attribution_core.common.progress import OnProgress, ProgressReporter
from attribution_core.errors import CheckpointError
from attribution_core.retrieval.hits import Hits, Nearest
from attribution_core.retrieval.local import LocalFile
from attribution_core.retrieval.planes import Planes, blocks
from attribution_core.retrieval.rest import Rest

SCANNED = 20_000
"""Rows that are compared with a query, at least: those of the nearest cells."""
MISSED = 0.0005
"""Of the listed rows, how many may be expected in cells that are not scanned."""
SAMPLED = 8
"""Rows of each cell that stand for it where it is not scanned."""
TRAINED_ON = 64
"""Rows a cell that k-means sees."""
ROUNDS = 10
"""Of k-means."""
_SEED = 0
_TINY = 1e-12
_ARRAYS = {"ids": "<i8", "start": "<i8", "mean": "<f4", "radius": "<f4"}


@dataclass(frozen=True, eq=False)
class Cells:
    """Rows in c cells.

    Attributes:
        rows: (n, d) sorted by cell, in random order within each.
        ids: (n,) the number of each row in the order in which rows were added.
        start: (c + 1,) where each cell begins in `rows`, then n.
        mean: (c, d) mean of each cell's rows.
        radius: (c,) largest distance of a cell's row from its mean.
    """

    rows: Planes
    ids: NDArray[np.int64]
    start: NDArray[np.int64]
    mean: NDArray[np.float32]
    radius: NDArray[np.float32]

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """(c,) number of rows in each cell."""
        return np.diff(self.start)

    @cached_property
    def drawn(self) -> NDArray[np.int64]:
        """(c,) how many of each cell's rows stand for it."""
        return np.minimum(self.size, SAMPLED)

    @cached_property
    def owner_of_sample(self) -> NDArray[np.int64]:
        """(m,) the cell of each row that stands for its cell."""
        return np.repeat(np.arange(len(self.radius)), self.drawn)

    def compared(
        self, query: NDArray[np.float32], some: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and similarities to a query (d,) of all rows in some cells."""
        start, stop = self.start[some], self.start[some + 1]
        ids = np.concatenate([self.ids[a:b] for a, b in zip(start, stop, strict=True)])
        return ids, self.rows.similarities(query[None], start, stop)[0]

    @classmethod
    def divide(cls, rows: Planes, on_progress: OnProgress | None = None) -> Cells:
        """Sort the rows into about sqrt(n) cells by k-means, trained on some of them."""
        n, rng = len(rows), np.random.default_rng(_SEED)
        cell = _assigned(rows, max(1, round(n**0.5)), rng, on_progress)
        _, cell = np.unique(cell, return_inverse=True)  # without empty cells
        count = np.bincount(cell)
        shuffled = rng.permutation(n)
        ids = shuffled[np.argsort(cell[shuffled], kind="stable")]
        start = np.append(0, np.cumsum(count))
        owner = np.repeat(np.arange(len(count)), count)
        rows.sort(ids)
        mean = np.zeros((len(count), rows.dim))
        for some in blocks(n):
            here, first = np.unique(owner[some], return_index=True)
            mean[here] += np.add.reduceat(rows.take(some).floats(), first, dtype=np.float64)
        mean /= count[:, None]
        radius = np.zeros(len(count))
        for some in blocks(n):
            apart = np.linalg.norm(rows.take(some).floats() - mean[owner[some]], axis=1)
            np.maximum.at(radius, owner[some], apart)
        return cls(rows, ids, start, mean.astype(np.float32), (radius + 1e-6).astype(np.float32))


class CellScan(LocalFile):
    """Search in the nearest cells; all others are estimated from a sample of each."""

    FILE = "cells.safetensors"
    factory = "IVF"

    def __init__(self, rows: Planes, cells: Cells | None = None) -> None:
        """Wrap rows as they are added, or cells."""
        self._added, self._divided = rows, cells

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None = None) -> CellScan:
        """Create an empty index for rows of `dim` values."""
        return cls(Planes.empty(dim))

    @classmethod
    def open(cls, folder: Path, factory: str) -> CellScan:
        """Map the file written by `save` into memory. Raises `CheckpointError` for any other file."""
        path = folder / cls.FILE
        try:
            arrays = mapped(path)
            rows = Planes.of(arrays)
            cells = Cells(rows, *(arrays[name] for name in _ARRAYS))
            _check(cells)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"'{path}' is not an index of cells; build it again.") from error
        return cls(rows, cells)

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self._added)

    @property
    def dim(self) -> int:
        """Dimension of the rows."""
        return self._added.dim

    def reserve(self, count: int) -> None:
        """Allocate memory for `count` rows, so that adding blocks never copies earlier ones."""
        self._added.reserve(count)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows."""
        self._added.add(rows)

    def finish(self, on_progress: OnProgress | None) -> None:
        """Divide the rows into cells."""
        self._divided = Cells.divide(self._added, on_progress)

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in the order in which they were added, (b, d) at a time."""
        cells = self._cells
        place = np.argsort(cells.ids)
        for some in blocks(len(self)):
            yield cells.rows.take(place[some]).floats()

    def save(self, folder: Path) -> None:
        """Write the cells."""
        cells = self._cells
        arrays = cells.rows.arrays | {name: getattr(cells, name) for name in _ARRAYS}
        with atomic_path(folder / self.FILE) as temporary:
            write_arrays(temporary, arrays)

    def nearest(self, queries: NDArray[np.float32], top: int) -> Nearest:
        """Return the `top` nearest of (q, d) unit rows in the scanned cells."""
        means, _, spreads = self._overview(queries)
        found = [
            self._scan(query, mean, spread, top)
            for query, mean, spread in zip(queries, means, spreads, strict=True)
        ]
        ids = np.array([order[:top] for order, _, _ in found], dtype=np.int64)
        best = np.array([similarity[:top] for _, similarity, _ in found], dtype=np.float32)
        return Nearest(ids.reshape(len(queries), top), best.reshape(len(queries), top))

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Like `nearest`, plus the rest: scanned rows in `bins` bins, all others by cell."""
        ids = np.empty((len(queries), top), np.int64)
        best = np.empty((len(queries), top), np.float32)
        cells = self._cells
        size = cells.size
        scanned, count = [], np.empty((len(queries), len(size)), np.int64)
        mean, sample, spread = self._overview(queries)
        for k, query in enumerate(queries):
            order, similarity, probed = self._scan(query, mean[k], spread[k], top)
            ids[k], best[k] = order[:top], similarity[:top]
            scanned.append(Rest.from_similarities(similarity[top:], bins))
            count[k] = size
            count[k, probed] = 0
        beyond = Rest.from_cells(
            count,
            mean,
            sample,
            cells.owner_of_sample,
            np.maximum(mean - cells.radius, -1.0),
            np.minimum(mean + cells.radius, 1.0),
        )
        rest = Rest.stack(scanned)
        return Hits(ids, best, rest.beside(beyond) if count.any() else rest)

    @property
    def _cells(self) -> Cells:
        assert self._divided is not None, "`finish` makes them"
        return self._divided

    def _overview(
        self, queries: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        """Compare (q, d) queries with each cell's mean and with a sample of its rows.

        Returns similarities to the means (q, c) and to the sample (q, m), and the standard deviation (q, c) of the
        similarities to each cell's rows, as the sample has it, at least that of all cells together.
        """
        cells = self._cells
        mean = queries @ cells.mean.T
        drawn, owner = cells.drawn, cells.owner_of_sample
        sample = cells.rows.similarities(queries, cells.start[:-1], cells.start[:-1] + drawn)
        apart = np.add.reduceat((sample - mean[:, owner]) ** 2, np.cumsum(drawn) - drawn, axis=1) / drawn
        together = (apart @ cells.size) / len(self)
        return mean, sample, np.sqrt(np.maximum(apart, together[:, None]), dtype=np.float64)

    def _scan(
        self, query: NDArray[np.float32], mean: NDArray[np.float32], spread: NDArray[np.float64], top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Search in as many cells as it takes to list the `top` nearest rows, or nearly all of them.

        mean, spread: (c,) of the query's similarities to the rows of each cell.

        Returns ids and similarities of all their rows, the first `top` of them descending, and the cells.
        """
        cells = self._cells
        nearest = np.argsort(-mean, kind="stable")
        enough = int(np.searchsorted(np.cumsum(cells.size[nearest]), max(SCANNED, top))) + 1
        probed, others = nearest[:enough], nearest[enough:]
        ids, similarity = cells.compared(query, probed)
        least = np.partition(similarity, len(ids) - top)[len(ids) - top]
        expected = cells.size[others] * ndtr((mean[others] - least) / np.maximum(spread[others], _TINY))
        order = np.argsort(expected)  # the last of them are worth a look
        further = others[order[np.searchsorted(np.cumsum(expected[order]), MISSED * top) :]]
        if further.size:
            more = cells.compared(query, further)
            probed = np.concatenate([probed, further])
            ids, similarity = np.concatenate([ids, more[0]]), np.concatenate([similarity, more[1]])
            least = np.partition(similarity, len(ids) - top)[len(ids) - top]
        listed = np.flatnonzero(similarity >= least)
        listed = listed[np.lexsort((ids[listed], -similarity[listed]))[:top]]
        rest = np.delete(np.arange(len(ids)), listed)
        order = np.concatenate([listed, rest])
        return ids[order], similarity[order], probed


def _assigned(
    rows: Planes, count: int, rng: np.random.Generator, on_progress: OnProgress | None
) -> NDArray[np.int64]:
    """(n,) the cell of each row, of about `count`."""
    import faiss

    n = len(rows)
    some = np.sort(rng.choice(n, min(n, TRAINED_ON * count), replace=False))
    trained = len(some) * ROUNDS  # comparisons with all means, as many as that number of rows
    progress = ProgressReporter("dividing into cells", trained + n, on_progress)
    progress.start()
    kmeans = faiss.Kmeans(
        rows.dim, count, niter=ROUNDS, seed=_SEED, spherical=True, min_points_per_centroid=1
    )
    kmeans.train(rows.take(some).floats())
    progress.add(trained)
    cell = np.empty(n, np.int64)
    for block in blocks(n):
        cell[block] = kmeans.index.search(rows.take(block).floats(), 1)[1][:, 0]
        progress.add(block.stop - block.start)
    return cell


def _check(cells: Cells) -> None:
    """Raise `ValueError` where the arrays do not fit each other."""
    n, dim, c = len(cells.rows), cells.rows.dim, len(cells.radius)
    kinds = {name: getattr(cells, name).dtype.str for name in _ARRAYS}
    shapes = [cells.ids.shape, cells.start.shape, cells.mean.shape]
    if kinds != _ARRAYS or shapes != [(n,), (c + 1,), (c, dim)]:
        raise ValueError("the parts differ in size or kind")
    if cells.start[0] != 0 or cells.start[-1] != n or (cells.size <= 0).any():
        raise ValueError("the cells do not cover the rows")
    if not (np.bincount(cells.ids, minlength=n) == 1).all():
        raise ValueError("a row is there twice or not at all")
