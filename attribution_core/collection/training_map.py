"""A map of a collection: every training image as a point of the plane, near to those that look alike to the encoder.

A layout by UMAP (McInnes et al., 2018) of the mapped features of the collection's own method, made once and kept in
its folder. The map names the index that it was made from: once images were added or removed, it is refused.
"""

from __future__ import annotations

import io
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import PositiveInt

from attribution_core.collection.collection import Collection
from attribution_core.common.arrays import FloatArray, float_matrix, whole
from attribution_core.common.cards import CARD_NAME, Card, load_card, verify_files, write_card
from attribution_core.common.files import make_folder, write_array_atomic, written_to
from attribution_core.common.optional import import_optional
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.errors import CheckpointError, InvalidInputError

SIDE = 65_535
"""Points lie in a square from 0 to this."""
LEAST = 10
"""Fewer images make no map."""
NEIGHBOURS, APART = 15, 0.1
"""Of UMAP: how many nearest images a point is drawn to; how close together points may lie."""
MOST_CORNERS = 500
"""Of an outline."""
_FILE = "points.npy"


class MapCard(Card):
    """The card of a map. index: name -> SHA-256 of the files of the index that it was made from."""

    KIND = "a map"
    files: dict[str, str]
    index: dict[str, str]
    n_training: PositiveInt


@dataclass(frozen=True, eq=False)
class TrainingMap:
    """Where each training image lies; see `make_map`.

    points: (n, 2) uint16 in [0, `SIDE`], in the order of the corpus. Directions and distances across the map have no
    meaning, and the size of a gap has little: only who is near to whom.
    """

    points: NDArray[np.uint16]

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self.points)

    @classmethod
    def open(cls, collection: Collection) -> TrainingMap:
        """Read a collection's map.

        Raises `CheckpointError` that names the command to make it, where there is none, where it is damaged, and where
        it was made before images were added or removed.
        """
        folder = collection.layout.map
        command = f"`python -m attribution_core map {collection.path}`"
        if not (folder / CARD_NAME).is_file():
            raise CheckpointError(f"the collection '{collection.name}' has no map; make it with {command}.")
        card = load_card(folder, MapCard)
        if card.index != _index_files(collection):
            raise CheckpointError(
                f"the map of the collection '{collection.name}' is of other images than it holds now; make it again "
                f"with {command}."
            )
        verify_files(folder)
        try:
            points = np.load(folder / _FILE, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CheckpointError(
                f"'{folder / _FILE}' cannot be read; make it again with {command}."
            ) from error
        if points.dtype != np.uint16 or points.shape != (len(collection.corpus), 2):
            raise CheckpointError(
                f"'{folder / _FILE}' holds {points.dtype} of shape {points.shape}, expected uint16 of shape "
                f"({len(collection.corpus)}, 2); make it again with {command}."
            )
        return cls(points)

    def around(self, x: float, y: float, count: int) -> NDArray[np.int64]:
        """Positions of the `count` images nearest to a place of the map, nearest first; of all, if there are fewer."""
        squared = ((self.points - np.array([x, y])) ** 2).sum(axis=1)
        some = np.argpartition(squared, min(count, len(self)) - 1)[:count]
        return some[np.lexsort((some, squared[some]))].astype(np.int64)

    def inside(self, outline: ArrayLike) -> NDArray[np.int64]:
        """Positions of the images within an outline, those in its middle first.

        outline: (c, 2) its corners, 3 to `MOST_CORNERS`, closed by itself; where it crosses itself, what lies within an
        odd number of its loops. Raises `InvalidInputError` for anything else.
        """
        corners = float_matrix("outline", outline, np.float64)
        if corners.shape[1] != 2 or not 3 <= len(corners) <= MOST_CORNERS:
            raise InvalidInputError(
                f"outline has shape {corners.shape}, expected 3 to {MOST_CORNERS} corners of two values."
            )
        low, high = corners.min(axis=0), corners.max(axis=0)
        near = np.flatnonzero(((self.points >= low) & (self.points <= high)).all(axis=1))
        x, y = self.points[near].astype(np.float64).T
        odd = np.zeros(len(near), dtype=bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if ay != by:
                odd ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * ((bx - ax) / (by - ay)))
        found = near[odd]
        if not len(found):
            return found.astype(np.int64)
        inner = self.points[found].astype(np.float64)
        apart = ((inner - inner.mean(axis=0)) ** 2).sum(axis=1)
        return found[np.argsort(apart, kind="stable")].astype(np.int64)

    def middle(self, ids: NDArray[np.int64], weights: ArrayLike) -> tuple[float, float]:
        """Return the weighted mean of some images' places. weights: (k,) at least 0; their mean counts if all are 0."""
        given: FloatArray = np.asarray(weights, dtype=np.float64)
        x, y = np.average(self.points[ids], axis=0, weights=given if given.sum() > 0 else None)
        return float(x), float(y)


def make_map(collection: Collection, seed: int = 0, on_progress: OnProgress | None = None) -> TrainingMap:
    """Lay out a collection's training images, and keep the map in its folder in place of an earlier one.

    The same seed gives the same map with the same versions on the same kind of processor. Stages of on_progress:
    "reading features", "finding neighbours", "placing images". Raises `InvalidInputError` for fewer than `LEAST`
    images, `MissingDependencyError` without UMAP, `OutputError` where the folder cannot be written to.
    """
    seed = whole("seed", seed, 0, 2**32 - 1)
    n = len(collection.index)
    if n < LEAST:
        raise InvalidInputError(f"a map takes at least {LEAST} images; '{collection.path}' has {n}.")
    umap = import_optional("umap", "laying out a map")
    report = on_progress or (lambda _: None)
    made_from = _index_files(collection)
    rows = np.empty((n, collection.index.dim), dtype=np.float32)
    done = 0
    for block in collection.index.rows():
        rows[done : done + len(block)] = block
        done += len(block)
        report(Progress("reading features", done, n))
    report(Progress("finding neighbours", 0, None))
    options: dict[str, Any] = {"n_neighbors": min(NEIGHBOURS, n - 1), "min_dist": APART, "metric": "cosine"}
    layout = umap.UMAP(
        **options,
        init="pca" if rows.shape[1] > 1 else "random",  # a spectral start takes hours for a million images
        random_state=seed,
        n_jobs=1,  # so that a seed gives the same map
        tqdm_kwds={"disable": False, "file": _Epochs(report), "bar_format": "{n_fmt}/{total_fmt}"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few images, or many that are equal
        placed = layout.fit_transform(rows)
    made = TrainingMap(_to_scale(placed))
    card = {
        "what": "each training image as a point of the plane, uint16, by UMAP of its mapped features",
        "method": collection.method,
        **options,
        "seed": seed,
        "n_training": n,
        "index": made_from,
        "files": [_FILE],
    }
    _store(made, card, collection.layout.map)
    return made


def _store(made: TrainingMap, card: Mapping[str, Any], folder: Path) -> None:
    """Put a map in place whole."""
    part = folder.with_suffix(".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        make_folder(part)
        write_array_atomic(part / _FILE, made.points)
        write_card(part, card)
        with written_to(folder):
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _to_scale(placed: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Points of any scale, in the square; those without a place, which have no neighbours, in the middle of all."""
    points = np.where(np.isfinite(placed), placed, np.nanmean(placed, axis=0)).astype(np.float64)
    points -= points.min(axis=0)
    return np.round(points * (SIDE / max(float(points.max()), 1e-12))).astype(np.uint16)


def _index_files(collection: Collection) -> dict[str, str]:
    """Which index a collection has; another one after images were added or removed."""
    return dict(load_card(collection.layout.index(), Card).files)


class _Epochs(io.StringIO):
    """Takes UMAP's bar of epochs, which it writes as "3/200", and reports them."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        super().__init__()
        self._report = report

    def write(self, text: str) -> int:
        if said := re.search(r"(\d+)/(\d+)", text):
            self._report(Progress("placing images", int(said[1]), int(said[2])))
        return len(text)
