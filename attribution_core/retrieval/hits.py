"""Search results: the nearest training images and a summary of all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import float_matrix
from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.rest import Rest


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest training images of q queries.

    Attributes:
        ids: (q, k) int64 positions in the training set.
        similarity: (q, k) float32 in [-1, 1], descending along a row.

    Raises:
        InvalidInputError: Shapes differ, ids are negative, or similarities are not finite and descending.
    """

    ids: NDArray[np.int64]
    similarity: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the parts against each other."""
        similarity = float_matrix("similarity", self.similarity)
        ids = np.asarray(self.ids)
        if ids.shape != similarity.shape or ids.dtype.kind not in "iu":
            raise InvalidInputError(
                f"ids {ids.shape} of {ids.dtype} and similarity {similarity.shape} do not match; expected (q, k) "
                "integers and (q, k)."
            )
        if similarity.shape[1] == 0:
            raise InvalidInputError("no image is listed; search with top of 1 or more.")
        if (ids < 0).any():
            raise InvalidInputError(
                "ids contain a negative position, expected positions in the training set."
            )
        if (np.diff(similarity, axis=1) > 0).any():
            raise InvalidInputError("similarity increases along a row, expected descending order.")
        object.__setattr__(self, "ids", ids.astype(np.int64, copy=False))
        object.__setattr__(self, "similarity", similarity)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Hits(Nearest):
    """The listed training images of q queries, and the rest of each.

    Attributes:
        rest: The unlisted images of the same q queries.

    Raises:
        InvalidInputError: As for `Nearest`, or the rest covers another number of queries.
    """

    rest: Rest

    def __post_init__(self) -> None:
        """Check the parts against each other."""
        super().__post_init__()
        if len(self.rest) != len(self.ids):
            raise InvalidInputError(
                f"hits of {len(self.ids)} queries and a rest of {len(self.rest)} do not match; expected a rest for "
                "every query."
            )

    @property
    def total(self) -> NDArray[np.int64]:
        """(q,) number of training images, listed and unlisted."""
        return self.ids.shape[1] + self.rest.total

    def of(self, query: int) -> Hits:
        """Return the hits of one query alone. query: from 0."""
        one = slice(query, query + 1)
        return Hits(self.ids[one], self.similarity[one], self.rest.of(query))

    def head(self, top: int) -> Hits:
        """Return the hits with only the first `top` images listed; each of the others becomes a bin of the rest."""
        rest = self.rest.joined(self.similarity[:, top:])
        return Hits(self.ids[:, :top], self.similarity[:, :top], rest)
