"""Two attributions compared: which of their first images they share, and how far their orders agree."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from attribution_core.attribution.result import Attribution
from attribution_core.common.arrays import whole
from attribution_core.errors import InvalidInputError


@dataclass(frozen=True)
class SharedImage:
    """A training image among the first places of both. left, right: its rank there, from 1."""

    left: int
    right: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two attributions by their first `top` images.

    Attributes:
        left: One of them.
        right: The other.
        top: How many first places are looked at on each side; less where one lists fewer.
        shared: Images in the first `top` of both, in the order of the left.
        same_collection: Whether both are over one training set; else images are the same where their files are.
    """

    left: Attribution
    right: Attribution
    top: int
    shared: tuple[SharedImage, ...]
    same_collection: bool

    @property
    def jaccard(self) -> float:
        """Images that both list over those that at least one lists, in [0, 1]."""
        return len(self.shared) / (2 * self.top - len(self.shared))

    @property
    def by_chance(self) -> float | None:
        """How many two random lists of that length would share on average; None for two training sets."""
        return self.top**2 / self.left.n_training if self.same_collection else None

    @property
    def rank_agreement(self) -> float | None:
        """Kendall's tau over the shared images, in [-1, 1]: 1 is one order, -1 the reverse; None for under two.

        The part of their pairs that both lists order alike, minus the part that they order otherwise.
        """
        pairs = list(combinations(self.shared, 2))
        if not pairs:
            return None
        return sum(1 if (a.left < b.left) == (a.right < b.right) else -1 for a, b in pairs) / len(pairs)

    @property
    def identical(self) -> bool:
        """Whether both list the same images in the same order with equal influences."""
        same = [(s.left, s.right) for s in self.shared] == [(k, k) for k in range(1, self.top + 1)]
        return same and np.array_equal(self.left.influence[: self.top], self.right.influence[: self.top])


def compare(
    left: Attribution,
    right: Attribution,
    top: int = 12,
    *,
    left_keys: Sequence[Hashable] | None = None,
    right_keys: Sequence[Hashable] | None = None,
) -> Comparison:
    """Compare the first places of two attributions.

    Args:
        left: One of them.
        right: The other.
        top: How many first places, cut to what both list.
        left_keys: For attributions over two training sets: what says that two images are the same, such as a checksum
            of each file, one for each listed image. None compares positions in one training set.
        right_keys: The same of the right.

    Raises:
        InvalidInputError: `top` is below 1, or keys are given for one side only or for too few images.
    """
    top = min(whole("top", top, 1), len(left), len(right))
    if (left_keys is None) != (right_keys is None):
        raise InvalidInputError("keys are given for one side only; give both or none.")
    ids = [[int(i) for i in side.ids] for side in (left, right)]
    keys = [ids[0] if left_keys is None else left_keys, ids[1] if right_keys is None else right_keys]
    if min(map(len, keys)) < top:
        raise InvalidInputError(f"there are {min(map(len, keys))} keys for {top} images; give one for each.")
    # Of several equal images on one side the first counts, so that none is shared twice.
    places: list[dict[Hashable, int]] = [{}, {}]
    for side, known in zip(keys, places, strict=True):
        for rank, key in enumerate(side[:top], 1):
            known.setdefault(key, rank)
    shared = tuple(SharedImage(rank, places[1][key]) for key, rank in places[0].items() if key in places[1])
    return Comparison(left, right, top, shared, left_keys is None)
