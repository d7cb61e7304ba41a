"""An artist's own images beside a training set: would they be credited for what a model drew?

Everything stays in memory: nothing here writes a file or a log, and no image is shown by a `repr`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.attribution.result import Attribution
from attribution_core.common.images import LIMITS, Limits, read_image
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError

MOST_IMAGES = 30
LONGEST_NAME = 80  # characters
LARGEST = 1024
"""Longer side in px to which images are scaled down; the largest encoder takes 384."""
LISTED = 12
"""Ranks that count as "in the list": as many as the app shows at first."""
LIST_LENGTH = 100
LEVEL = 1e-4
"""Similarities that differ by less count as equal: those of one image twice differ by rounding."""


@dataclass(frozen=True, eq=False)
class Artwork:
    """An artist's images, in memory. images: RGB. titles: one for each, to tell them apart."""

    artist: str
    images: tuple[Image.Image, ...] = field(repr=False)
    titles: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check number of images, name and titles. Raises `InvalidInputError`."""
        check_count(len(self.images))
        name = " ".join(self.artist.split())
        if not name:
            raise InvalidInputError("the name is empty; say whose images these are, a pen name will do.")
        if len(name) > LONGEST_NAME:
            raise InvalidInputError(f"the name has {len(name)} characters, at most {LONGEST_NAME} are taken.")
        if len(self.titles) != len(self.images):
            raise InvalidInputError(
                f"{len(self.titles)} titles for {len(self.images)} images; give one for each."
            )
        object.__setattr__(self, "artist", name)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @classmethod
    def read(cls, sources: Sequence[Path | str], artist: str) -> Artwork:
        """Read an artist's image files, in the order given. Raises `InvalidInputError`, `InvalidImageError`."""
        check_count(len(sources))
        return cls(artist, tuple(read_piece(s) for s in sources), tuple(Path(s).stem for s in sources))


def check_count(count: int) -> None:
    """Raise `InvalidInputError` unless there are 1 to `MOST_IMAGES` images."""
    if count < 1:
        raise InvalidInputError(f"there are no images; give 1 to {MOST_IMAGES}.")
    if count > MOST_IMAGES:
        raise InvalidInputError(
            f"these are {count} images, at most {MOST_IMAGES} are taken; choose among them."
        )


def read_piece(source: Path | str | bytes, limits: Limits = LIMITS) -> Image.Image:
    """Read one image, RGB, its longer side at most `LARGEST` px. Raises `InvalidImageError`."""
    return read_image(source, limits, LARGEST)


@dataclass(frozen=True, eq=False)
class Candidates:
    """An artist's images as candidates of one method of a collection; see `embed`. rows: (n, m) float32."""

    artwork: Artwork
    rows: NDArray[np.float32] = field(repr=False)

    @cached_property
    def added(self) -> tuple[Added, ...]:
        """The images as `Attributor.attribute` takes them, in their order."""
        artist, pieces = (
            self.artwork.artist,
            zip(self.artwork.images, self.artwork.titles, self.rows, strict=True),
        )
        return tuple(
            Added(image, Credit(id=f"artwork/{k}", caption=title, creator=artist), row)
            for k, (image, title, row) in enumerate(pieces, 1)
        )


def embed(attributor: Attributor, artwork: Artwork) -> Candidates:
    """Embed an artist's images once, for all questions to that method."""
    return Candidates(artwork, attributor.embed(artwork.images))


@dataclass(frozen=True)
class Piece:
    """Where one image of the artist stands among all candidates of a query.

    number: its place among the artist's images, from 1. rank: among all candidates, from 1; between rank_low and
    rank_high for certain. influence, low, high: its share and the interval of it.
    """

    number: int
    title: str
    rank: int
    rank_low: int
    rank_high: int
    similarity: float
    influence: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Standing:
    """An artist's images among all candidates of one query. attribution: over training images and these together.

    pieces: of the artist, closest first. Shares add up to 1 with those of all training images.
    """

    artist: str
    pieces: tuple[Piece, ...]
    attribution: Attribution

    @property
    def n_training(self) -> int:
        """Number of training images, without the artist's."""
        return self.attribution.n_training - len(self.pieces)

    @property
    def share(self) -> float:
        """Influence of the artist's images together."""
        return min(1.0, sum(p.influence for p in self.pieces))

    @property
    def share_low(self) -> float:
        """Lower bound of `share`."""
        return sum(p.low for p in self.pieces)

    @property
    def share_high(self) -> float:
        """Upper bound of `share`."""
        return min(1.0, sum(p.high for p in self.pieces))

    @property
    def lift(self) -> float:
        """The share over an even share: what as many images would have if all candidates had the same."""
        return self.share * self.attribution.n_training / len(self.pieces)

    @property
    def best(self) -> Piece:
        """The closest image of the artist."""
        return self.pieces[0]

    @cached_property
    def strongest(self) -> tuple[int, ...]:
        """Places, in the attribution, of the listed training images, most influential first."""
        return tuple(int(k) for k in np.flatnonzero(self.attribution.ids < self.n_training))

    @property
    def named_first(self) -> bool:
        """Whether an image of the artist comes first and stands out, so that the app would name it."""
        return self.best.rank == 1 and self.attribution.stands_out and not self.level

    @property
    def level(self) -> bool:
        """Whether the artist's closest image is first together with a training image: it may be that very image."""
        nearest = float(self.attribution.similarity[self.strongest[0]])
        return self.best.rank <= 2 and abs(self.best.similarity - nearest) < LEVEL


def would_be_credited(
    attributor: Attributor, image: Image.Image | Path | str, candidates: Candidates, top: int = LIST_LENGTH
) -> Standing:
    """Where an artist's images would stand among the candidates of an image, had they been trained on.

    image: the query. top: training images that are listed beside them. Raises what `Attributor.attribute` raises.
    """
    result = attributor.attribute(image, top, added=candidates.added)
    count = len(candidates.artwork)
    first = result.n_training - count
    bins, ranks = result.rest_bins, result.rank
    pieces = []
    for k in (int(k) for k in np.flatnonzero(result.ids >= first)):
        similarity, number = float(result.similarity[k]), int(result.ids[k]) - first
        above = int(bins.count[0][bins.low[0] > similarity].sum())
        perhaps = int(bins.count[0][bins.high[0] >= similarity].sum())
        pieces.append(
            Piece(
                number + 1,
                candidates.artwork.titles[number],
                int(ranks[k]),
                k + 1 + above,
                k + 1 + perhaps,
                similarity,
                float(result.influence[k]),
                float(result.influence_low[k]),
                float(result.influence_high[k]),
            )
        )
    return Standing(candidates.artwork.artist, tuple(pieces), result)
