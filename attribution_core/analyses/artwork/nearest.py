"""Which training image is most like each image of an artist?"""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from attribution_core.analyses.artwork.standing import LEVEL, Candidates
from attribution_core.analyses.memorization.verdict import Memorization, Verdict
from attribution_core.attribution.attributor import Attributor
from attribution_core.corpus.credit import Credit
from attribution_core.errors import CollectionMismatchError


@dataclass(frozen=True, eq=False)
class Nearest:
    """An image of the artist and the training image most similar to it.

    position, credit: of the training image, in the corpus. similarity: in [-1, 1]. verdict: whether the artist's image
    is a copy of any training image; None where that was not asked.
    """

    image: Image.Image = field(repr=False)
    title: str
    position: int
    credit: Credit
    similarity: float
    verdict: Verdict | None = None

    @property
    def is_weak(self) -> bool:
        """Whether no training image is close enough for a copy; False where nothing is known of copies."""
        return self.verdict is not None and self.verdict.is_copy is False and not self.same

    @property
    def same(self) -> bool:
        """Whether the two cannot be told apart: the artist's image may be in the training set."""
        return self.similarity > 1 - LEVEL


def nearest(
    attributor: Attributor, candidates: Candidates, copies: Memorization | None = None
) -> tuple[Nearest, ...]:
    """The training image most similar to each of an artist's images, most similar pair first, weak ones last.

    copies: judges which of the artist's images are copies; without it, no pair counts as weak. Raises
    `CollectionMismatchError` where the candidates are of another method.
    """
    collection, artwork = attributor.collection, candidates.artwork
    check_method(attributor, candidates)
    hits = collection.index.nearest(candidates.rows, 1)
    credits = collection.corpus.credits([int(place) for place in hits.ids[:, 0]])
    verdicts = [None] * len(artwork) if copies is None else copies.check_all(artwork.images, 1)
    found = (
        Nearest(image, title, int(place), credit, float(similarity), verdict)
        for image, title, place, credit, similarity, verdict in zip(
            artwork.images,
            artwork.titles,
            hits.ids[:, 0],
            credits,
            hits.similarity[:, 0],
            verdicts,
            strict=True,
        )
    )
    return tuple(sorted(found, key=lambda one: (one.is_weak, -one.similarity)))


def check_method(attributor: Attributor, candidates: Candidates) -> None:
    """Raise `CollectionMismatchError` unless the candidates were embedded by the attributor's method."""
    dim = attributor.collection.index.dim
    if candidates.rows.shape[1] != dim:
        raise CollectionMismatchError(
            f"the images were embedded in {candidates.rows.shape[1]} values, the index holds {dim}; "
            "embed them with this method."
        )
