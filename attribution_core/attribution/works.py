"""Works: listed training images with their near-duplicates counted as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from attribution_core.corpus.credit import Credit


@dataclass(frozen=True)
class Work:
    """One entry of a list of credits.

    places: of its images in the list, from 0, most influential first. influence, low, high: of all of them together.
    creators: the maker of each, "" where none is named.
    """

    places: tuple[int, ...]
    influence: float
    low: float
    high: float
    creators: tuple[str, ...]

    @property
    def near_duplicates(self) -> int:
        """How many more listed images are the same work."""
        return len(self.places) - 1


def works_of(
    credits: Sequence[Credit], influence: NDArray[Any], low: NDArray[Any], high: NDArray[Any]
) -> tuple[Work, ...]:
    """Works in the order of their first images. Sums of bounds bound the sum: the shares have one denominator."""
    members: dict[tuple[str, int], list[int]] = {}
    for place, credit in enumerate(credits):
        members.setdefault((credit.work, 0 if credit.work else place + 1), []).append(place)

    def together(column: list[float], places: list[int]) -> float:
        return min(sum(column[p] for p in places), 1.0)

    # Single elements are slow to read from arrays, and there are many.
    influences, lows, highs = influence.tolist(), low.tolist(), high.tolist()
    return tuple(
        Work(
            tuple(places),
            together(influences, places),
            together(lows, places),
            together(highs, places),
            tuple(credits[p].creator for p in places),
        )
        for places in members.values()
    )
