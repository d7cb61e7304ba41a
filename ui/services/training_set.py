"""What the tab Training set asks of the library: look through the training images, and for one's own among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.analyses.memorization.copies import threshold_of
from attribution_core.attribution.groups import UNKNOWN, GroupBy, group
from attribution_core.attribution.result import Attribution
from attribution_core.common.progress import OnProgress
from attribution_core.corpus.search import CorpusSearch, Wanted
from attribution_core.errors import InvalidInputError
from ui.services.app import Services

PAGE = 48
"""Images on one page of the grid."""
ALIKE = 96
"""Images that "more like this" lists."""
NEAREST = 8
"""Images beside an artist's own."""
SAME = 0.999
"""Similarity of the copy encoder from which the pictures are the same but for their encoding."""


@dataclass(frozen=True, eq=False)
class Presence:
    """Whether an image is in the training set.

    Attributes:
        words: The answer in one sentence.
        ids: (k,) the training images nearest to it, nearest first.
        similarity: (k,) how near, in [-1, 1].
        kind: "same", "near-duplicate" or "similar".
    """

    words: str
    ids: NDArray[np.int64]
    similarity: NDArray[np.float32]
    kind: str


class TrainingSetServices:
    """The questions of the tab, over one opened collection."""

    def __init__(self, services: Services) -> None:
        """services: what all tabs share."""
        self.services = services
        self.search = CorpusSearch(services.collection.corpus)

    def find(self, wanted: Wanted, like: int | None = None) -> NDArray[np.int64]:
        """Positions that fit; those most like the image at `like` where one is given."""
        if like is None:
            return self.search.find(wanted)
        corpus = self.services.collection.corpus
        if not 0 <= like < len(corpus):
            raise InvalidInputError(f"there is no training image {like}; choose one that is shown.")
        attributor = self.services.attributor()
        row = attributor.embed([corpus.image(like)])
        hits = self.services.collection.index.nearest(row, min(ALIKE, len(corpus)))
        return np.concatenate([[like], hits.ids[0][hits.ids[0] != like]])

    def contact(self) -> str:
        """How to object to an image's use, from the collection's card; "" where the card does not say."""
        return str(self.services.collection.card.get("contact", ""))

    def maker_words(self, creator: str, results: Sequence[Attribution]) -> str:
        """How much of the training set a maker made, and of the influence in this visit."""
        corpus = self.services.collection.corpus
        count = dict(self.search.values("creator")).get(creator, 0)
        words = f"{creator}: {count:,} of {len(corpus):,} training images"
        if results := [result for result in results if result.has_shares]:
            groups = group(results, corpus, GroupBy.CREATOR).groups
            share = next((g.influence for g in groups if g.name == (creator or UNKNOWN)), 0.0)
            images = "the image" if len(results) == 1 else f"the {len(results)} images"
            words += f"; {share:.1%} of the influence on {images} of this visit, as far as listed"
        return f"{words}."

    def presence(self, image: Image.Image, on_progress: OnProgress | None = None) -> Presence:
        """Look for an artist's own image. Raises `AttributionError`."""
        collection = self.services.collection
        if self.services.copies.is_possible:
            copies = self.services.copies.prepare(on_progress)
            hits = copies.search([image], NEAREST)[0]
            ids, similarity, threshold = hits.ids, hits.similarity, threshold_of(copies.encoder_name)
        else:  # by likeness alone, which tells no copies
            rows = self.services.attributor().embed([image])
            alike = collection.index.nearest(rows, min(NEAREST, len(collection.corpus)))
            ids, similarity, threshold = alike.ids[0], alike.similarity[0], None
        name = collection.corpus.credit(int(ids[0])).caption or f"image {ids[0]}"
        if threshold is not None and similarity[0] >= SAME:
            return Presence(
                f"Yes: the same picture is in the training set, as “{name}”.", ids, similarity, "same"
            )
        if threshold is not None and similarity[0] >= threshold.value:
            words = (
                f"Very likely: “{name}” is a near-duplicate of your image. Of pictures this close, about "
                f"{threshold.precision:.0%} were copies where it was measured."
            )
            return Presence(words, ids, similarity, "near-duplicate")
        words = f"No copy of your image was found. The most similar training image is “{name}”."
        return Presence(words, ids, similarity, "similar")
