"""Whether an image is a copy of a training image, where it agrees with it, and how often it comes back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.analyses.memorization.alignment import Alignment, align
from attribution_core.analyses.memorization.copies import (
    CopyIndex,
    Threshold,
    copy_encoder,
    is_stored,
    threshold_of,
)
from attribution_core.analyses.memorization.occlusion import OcclusionMaps, occlusion_maps
from attribution_core.collection.collection import Collection
from attribution_core.common.images import read_image
from attribution_core.common.progress import OnProgress
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError

TOP = 50
"""Nearest training images that a verdict lists."""
_DROP_WITHIN = 20  # ranks among which the drop-off is looked for


@dataclass(frozen=True)
class Drop:
    """The largest fall between one of the nearest training images and the next. after: images before the fall."""

    size: float
    after: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether an image is a copy, as the collection's copy encoder sees it.

    Attributes:
        ids, similarity: (k,) of the nearest training images, most similar first; similarity in [-1, 1].
        credit: Of the nearest.
        encoder: The copy encoder.
        threshold: From which similarity on it is called a copy; None where nobody measured one.
        n_training: Number of training images, all of which were compared.
    """

    ids: NDArray[np.int64]
    similarity: NDArray[np.float32]
    credit: Credit
    encoder: str
    threshold: Threshold | None
    n_training: int

    @property
    def copies(self) -> int:
        """How many training images reach the threshold; 0 without one."""
        return 0 if self.threshold is None else int((self.similarity >= self.threshold.value).sum())

    @property
    def is_copy(self) -> bool | None:
        """Whether the nearest reaches the threshold; None without one."""
        return None if self.threshold is None else self.copies > 0

    @property
    def drop(self) -> Drop:
        """The drop-off among the nearest `_DROP_WITHIN` and the next; 0 where there is one training image only."""
        falls = -np.diff(self.similarity[: _DROP_WITHIN + 1].astype(np.float64))
        return Drop(float(falls.max()), int(falls.argmax()) + 1) if falls.size else Drop(0.0, 1)


@dataclass(frozen=True, eq=False)
class Look:
    """A query and a training image in detail. match: as it is stored."""

    match: Image.Image
    alignment: Alignment
    occlusion: OcclusionMaps


@dataclass(frozen=True)
class Returned:
    """How often the same training image comes back over images of one prompt.

    images: how many there are. position, credit: the training image that was nearest most often. nearest: of how many
    it is the nearest. copies: how many of these are copies.
    """

    images: int
    position: int
    credit: Credit
    nearest: int
    copies: int


def returned(verdicts: Sequence[Verdict]) -> Returned:
    """Count the training images that images of one prompt come back to; most copies, then most often nearest, wins.

    Raises `InvalidInputError` without verdicts.
    """
    if not verdicts:
        raise InvalidInputError("there are no images to count; make at least one.")
    nearest = Counter(int(v.ids[0]) for v in verdicts)
    copies = Counter(int(v.ids[0]) for v in verdicts if v.is_copy)
    first = max(nearest, key=lambda i: (copies[i], nearest[i]))
    credit = next(v.credit for v in verdicts if v.ids[0] == first)
    return Returned(len(verdicts), first, credit, nearest[first], copies[first])


class Memorization:
    """Tells copies over one collection; encoder and index are opened at the first question."""

    def __init__(self, collection: Collection, device: str = "auto") -> None:
        """device: "auto", "cpu", "cuda" or "mps"."""
        self.collection, self.device = collection, device
        self._lock = threading.Lock()
        self._index: CopyIndex | None = None

    @property
    def is_possible(self) -> bool:
        """Whether the collection names a copy encoder. Raises `UnknownNameError` for one that there is not."""
        return copy_encoder(self.collection) is not None

    @property
    def is_quick(self) -> bool:
        """Whether a first question need not wait until all training images are encoded."""
        return self._index is not None or (self.is_possible and is_stored(self.collection))

    def prepare(self, on_progress: OnProgress | None = None) -> CopyIndex:
        """The training images as the copy encoder sees them, opened once.

        on_progress: of the images, where they have to be encoded first. Raises what
        `CopyIndex.open` raises.
        """
        with self._lock:
            if self._index is None:
                self._index = CopyIndex.open(self.collection, self.device, on_progress)
            return self._index

    @property
    def index(self) -> CopyIndex:
        """The same without a word on progress."""
        return self.prepare()

    def check(self, image: Image.Image | Path | str, top: int = TOP) -> Verdict:
        """Whether an image is a copy of a training image.

        image: PIL image or path. top: how many of the nearest to list, cut to the size of the collection. Raises
        `InvalidInputError` where the collection has no copy encoder, `InvalidImageError`.
        """
        return self.check_all([read_image(image)], top)[0]

    def check_all(self, images: Sequence[Image.Image], top: int = TOP) -> list[Verdict]:
        """The same of several images at once."""
        index = self.index
        threshold = threshold_of(index.encoder_name)
        return [
            Verdict(
                hits.ids,
                hits.similarity,
                self.collection.corpus.credit(int(hits.ids[0])),
                index.encoder_name,
                threshold,
                len(index),
            )
            for hits in index.search(list(images), top)
        ]

    def look(self, image: Image.Image | Path | str, position: int) -> Look:
        """Lay a training image over an image, and find where both agree.

        position: of the training image in the corpus. Raises as `check` does.
        """
        query, match = read_image(image), self.collection.corpus.image(position)
        return Look(match, align(query, match), occlusion_maps(self.index.encoder, query, match))
