"""A second opinion on an attribution: the same training images ranked by similarity and by unlearning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.analyses.unlearning.forget import (
    DEFAULTS,
    LossChanges,
    UnlearningSettings,
    loss_changes,
)
from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.common.arrays import whole
from attribution_core.common.estimates import DRAWS, Estimate
from attribution_core.common.progress import OnProgress
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.generation.generator import Generator

CANDIDATES, OTHERS = 50, 50
"""Number of images from the attribution's list, and of random training images beside them."""
_LEAST = 4  # images; of fewer, an order says nothing


@dataclass(frozen=True, eq=False)
class SecondOpinion:
    """Training images ranked by two independent methods.

    Attributes:
        ids: (n,) positions in the corpus; the attribution's list in its order, then images drawn at random.
        credits: One for each.
        listed: (n,) whether it was on the list.
        similarity: (n,) to the query, by the collection's method.
        losses: What forgetting the query did to each.
    """

    ids: NDArray[np.int64]
    credits: tuple[Credit, ...]
    listed: NDArray[np.bool_]
    similarity: NDArray[np.float64]
    losses: LossChanges

    def __post_init__(self) -> None:
        """Check that all columns have one length, of `_LEAST` or more. Raises `InvalidInputError`."""
        lengths = {
            len(part) for part in (self.ids, self.credits, self.listed, self.similarity, self.losses.change)
        }
        if len(lengths) != 1 or min(lengths) < _LEAST:
            raise InvalidInputError(
                f"columns have lengths {sorted(lengths)}, expected one length of {_LEAST} or more."
            )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    @property
    def change(self) -> NDArray[np.float64]:
        """(n,) by how much forgetting the query raised each loss."""
        return self.losses.change

    @property
    def rank_similarity(self) -> NDArray[np.int64]:
        """(n,) rank of each by similarity, from 1; ties share the best rank."""
        return _places(self.similarity)

    @property
    def rank_unlearning(self) -> NDArray[np.int64]:
        """(n,) rank of each by its change of loss, from 1; ties share the best rank."""
        return _places(self.change)

    def agreement(self, listed_only: bool = False, seed: int = 0) -> Estimate:
        """Spearman's correlation of the two orders, in [-1, 1], with its 95 % bootstrap interval over the images.

        listed_only: without the images that were drawn at random.
        """
        chosen = self.listed if listed_only else np.ones(len(self), dtype=bool)
        a, b = self.similarity[chosen], self.change[chosen]
        if len(a) < _LEAST:
            raise InvalidInputError(f"an order of {len(a)} images says nothing; judge {_LEAST} or more.")
        drawn = np.random.default_rng(seed).integers(0, len(a), size=(DRAWS, len(a)))
        low, high = np.quantile(_spearman(a[drawn], b[drawn]), (0.025, 0.975))
        return Estimate(float(_spearman(a[None], b[None])[0]), float(low), float(high))

    def above_random(self, seed: int = 0) -> Estimate | None:
        """Of all pairs of a listed and a random image, the fraction in which unlearning ranks the listed one higher.

        One half is chance. With its 95 % bootstrap interval over the images; None where none was drawn at random.
        """
        listed, others = self.change[self.listed], self.change[~self.listed]
        if not len(listed) or not len(others):
            return None
        wins = (listed[:, None] > others).astype(float) + 0.5 * (listed[:, None] == others)
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, len(listed), size=(DRAWS, len(listed)))
        columns = rng.integers(0, len(others), size=(DRAWS, len(others)))
        means = np.array([wins[r][:, c].mean() for r, c in zip(rows, columns, strict=True)])
        low, high = np.quantile(means, (0.025, 0.975))
        return Estimate(float(wins.mean()), float(low), float(high))

    def order(self, by_unlearning: bool) -> NDArray[np.int64]:
        """(n,) rows as one of the methods ranks them, best first."""
        return np.argsort(self.rank_unlearning if by_unlearning else self.rank_similarity, kind="stable")

    def apart(self, top: int = 10) -> tuple[int, ...]:
        """Rows in the first `top` of one method and beyond 2 * `top` of the other; furthest apart first."""
        a, b = self.rank_similarity, self.rank_unlearning
        rows = np.flatnonzero((np.minimum(a, b) <= whole("top", top, 1)) & (np.maximum(a, b) > 2 * top))
        return tuple(int(k) for k in rows[np.argsort(-np.abs(a - b)[rows], kind="stable")])

    def shared(self, top: int = 10) -> int:
        """Number of images in the first `top` of both methods."""
        return int(((self.rank_similarity <= whole("top", top, 1)) & (self.rank_unlearning <= top)).sum())


def second_opinion(
    attributor: Attributor,
    generator: Generator,
    image: Image.Image,
    prompt: str,
    *,
    candidates: int = CANDIDATES,
    others: int = OTHERS,
    added: Sequence[Added] = (),
    settings: UnlearningSettings = DEFAULTS,
    on_step: OnProgress | None = None,
) -> SecondOpinion:
    """Rank the first images of an attribution, and some random ones, by unlearning the query.

    Args:
        attributor: What attributes by similarity.
        generator: The generator that made the image, trained on the attributor's collection.
        image: The query.
        prompt: What it was made from.
        candidates: Images of the list, cut to the collection.
        others: Training images drawn at random beside them, cut to what is left.
        added: More candidates, as for `Attributor.attribute`; their credits' captions are what they are read by.
        settings: Of unlearning; its seed draws the others, too.
        on_step: Progress; what it raises ends the work and is passed on.

    Raises:
        InvalidInputError: Numbers or the prompt are out of range, or fewer than four images would be judged.
    """
    whole("candidates", candidates, 1, 1000)
    whole("others", others, 0, 1000)
    collection = attributor.collection
    corpus, size = collection.corpus, len(collection.index)
    listed = attributor.attribute(image, candidates, temperature=1.0, added=added)
    free = np.setdiff1d(np.arange(size), listed.ids)
    drawn = np.random.default_rng(settings.seed).permutation(free)[:others]
    if len(listed) + len(drawn) < _LEAST:
        raise InvalidInputError(
            f"{len(listed) + len(drawn)} images would be judged, at least {_LEAST} are needed; ask for more."
        )
    own = {size + k: one.image for k, one in enumerate(added)}
    ids = np.concatenate([listed.ids, drawn]).astype(np.int64)
    images = [own[int(i)] if int(i) in own else corpus.image(int(i)) for i in ids]
    credits = (*listed.credits, *corpus.credits([int(i) for i in drawn]))
    similarity = listed.similarity.astype(np.float64)
    if len(drawn):
        query = collection.mappers.map_query(attributor.encoder.encode([image]))[0]
        rows = collection.mappers.map_training(attributor.encoder.encode(images[len(listed) :]))
        similarity = np.concatenate([similarity, (rows @ query).astype(np.float64)])
    losses = loss_changes(
        generator, image, prompt, images, [c.short_caption or c.caption for c in credits], settings, on_step
    )
    return SecondOpinion(ids, credits, np.arange(len(ids)) < len(listed), similarity, losses)


def _places(values: NDArray[np.float64]) -> NDArray[np.int64]:
    from scipy.stats import rankdata  # slow to load

    return np.asarray(rankdata(-values, method="min"), dtype=np.int64)


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) Spearman's correlation of each pair of rows; 0 where a row is constant."""
    from scipy.stats import rankdata

    x, y = (r - r.mean(axis=1, keepdims=True) for r in (rankdata(a, axis=1), rankdata(b, axis=1)))
    norm = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.divide((x * y).sum(axis=1), norm, out=np.zeros(len(norm)), where=norm > 0)
