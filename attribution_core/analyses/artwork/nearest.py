"""Which training image is most like each image of an artist?"""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from attribution_core.analyses.artwork.standing import LEVEL, Candidates
from attribution_core.attribution.attributor import Attributor
from attribution_core.corpus.credit import Credit
from attribution_core.errors import CollectionMismatchError


@dataclass(frozen=True, eq=False)
class Nearest:
    """An image of the artist and the training image most similar to it.

    position, credit: of the training image, in the corpus. similarity: in [-1, 1].
    """

    image: Image.Image = field(repr=False)
    title: str
    position: int
    credit: Credit
    similarity: float

    @property
    def same(self) -> bool:
        """Whether the two cannot be told apart: the artist's image may be in the training set."""
        return self.similarity > 1 - LEVEL


def nearest(attributor: Attributor, candidates: Candidates) -> tuple[Nearest, ...]:
    """The training image most similar to each of an artist's images, most similar pair first.

    Raises `CollectionMismatchError` where the candidates are of another method.
    """
    collection, artwork = attributor.collection, candidates.artwork
    check_method(attributor, candidates)
    hits = collection.index.nearest(candidates.rows, 1)
    credits = collection.corpus.credits([int(place) for place in hits.ids[:, 0]])
    found = (
        Nearest(image, title, int(place), credit, float(similarity))
        for image, title, place, credit, similarity in zip(
            artwork.images, artwork.titles, hits.ids[:, 0], credits, hits.similarity[:, 0], strict=True
        )
    )
    return tuple(sorted(found, key=lambda one: -one.similarity))


def check_method(attributor: Attributor, candidates: Candidates) -> None:
    """Raise `CollectionMismatchError` unless the candidates were embedded by the attributor's method."""
    dim = attributor.collection.index.dim
    if candidates.rows.shape[1] != dim:
        raise CollectionMismatchError(
            f"the images were embedded in {candidates.rows.shape[1]} values, the index holds {dim}; "
            "embed them with this method."
        )
