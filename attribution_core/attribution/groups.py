"""Whose credit: the influences of one attribution, or of many, summed by creator, source, licence or style."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from attribution_core.attribution.result import Attribution
from attribution_core.common.text import csv_text
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CollectionMismatchError, InvalidInputError

UNKNOWN = "not stated"


class GroupBy(StrEnum):
    """What images are grouped by: a column of the corpus."""

    CREATOR = "creator"
    SOURCE = "source"
    LICENCE = "licence"
    STYLE = "style"


SUMS = (GroupBy.CREATOR, GroupBy.LICENCE)
"""What reports and ledgers sum by."""


@dataclass(frozen=True)
class Group:
    """Images that share a creator, a source, a licence or a style.

    influence, low, high: of its listed images together, each in [0, 1]. listed: how many are listed. images: how many
    it has in the training set. share: those, as a part of the training set. works: how many are listed, near-duplicates
    as one.
    """

    name: str
    influence: float
    low: float
    high: float
    listed: int
    images: int
    share: float
    works: int

    @property
    def lift(self) -> float:
        """Influence over what it would be if all training images had the same; at least that of the listed ones."""
        return self.influence / self.share if self.share else 0.0


@dataclass(frozen=True)
class Groups:
    """All groups with a listed image, most influential first, and everything else.

    rest, rest_low, rest_high: influence of all images that are not listed, whoever made them.
    """

    by: GroupBy
    groups: tuple[Group, ...]
    rest: float
    rest_low: float
    rest_high: float
    n_training: int

    def without(self, names: Sequence[str]) -> Groups:
        """Shares without the listed images of these groups, renormalised over all other candidates.

        This is no retraining: it does not tell what a model would have learned without them. Raises
        `InvalidInputError` for a name that is no group, or where nothing would be left.
        """
        known = {g.name for g in self.groups}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InvalidInputError(f"'{unknown[0]}' is none of the {self.by}s listed; choose among them.")
        kept = [g for g in self.groups if g.name not in names]
        left = self.rest + sum(g.influence for g in kept)
        if left <= 0:
            raise InvalidInputError("nothing would be left; leave fewer out.")
        # All shares have one denominator: where it is greatest, the groups have their lower ends, those left out
        # have theirs too, and the rest, which alone is uncertain, has its upper end.
        wide, narrow = (
            1 - sum(getattr(g, end) for g in self.groups if g.name in names) for end in ("low", "high")
        )
        narrow = max(narrow, 1e-12)
        groups = tuple(
            replace(g, influence=g.influence / left, low=g.low / wide, high=min(g.high / narrow, 1.0))
            for g in kept
        )
        return replace(
            self,
            groups=groups,
            rest=self.rest / left,
            rest_low=self.rest_low / narrow,
            rest_high=min(self.rest_high / wide, 1.0),
        )

    def leading(self, least: float = 0.025, most: int = 9) -> tuple[Group, ...]:
        """The first groups, at most so many, that hold at least so much each: those that a picture can label."""
        return tuple(g for g in self.groups[:most] if g.influence >= least)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text: the groups, and the rest."""
        groups = [
            {
                "name": g.name,
                "influence": g.influence,
                "low": g.low,
                "high": g.high,
                "listed": g.listed,
                "works": g.works,
                "images": g.images,
                "share_of_training_set": g.share,
                "lift": g.lift,
            }
            for g in self.groups
        ]
        return {
            "by": str(self.by),
            "n_training": self.n_training,
            "rest": self.rest,
            "rest_low": self.rest_low,
            "rest_high": self.rest_high,
            "groups": groups,
        }

    def to_csv(self) -> str:
        """One line a group, and one for everything else."""
        columns = ("influence", "low", "high", "listed", "works", "images")
        rows = [
            {str(self.by): g.name, **{name: getattr(g, name) for name in columns}}
            | {"share_of_training_set": g.share, "lift": g.lift}
            for g in self.groups
        ]
        rest = {"influence": self.rest, "low": self.rest_low, "high": self.rest_high}
        header = (str(self.by), *columns, "share_of_training_set", "lift")
        return csv_text(header, [*rows, {str(self.by): "everything else", **rest}])


def group(
    results: Attribution | Sequence[Attribution], corpus: Corpus, by: GroupBy | str = GroupBy.CREATOR
) -> Groups:
    """Sum influences by a column of the corpus; of several attributions, the mean of each is taken.

    Near-duplicates are one work, which is credited once: where they name different makers, to a group "Ada or Ben".

    The sums of a group's lower and upper bounds bound its sum: all influences of one attribution have one denominator,
    so that its images reach their bounds together.

    Args:
        results: One attribution or several, over this corpus, without added candidates.
        corpus: Whose images they list.
        by: "creator", "source", "licence" or "style".

    Raises:
        InvalidInputError: There is no attribution, or `by` is none of these.
        CollectionMismatchError: An attribution is of another training set.
    """
    every = [results] if isinstance(results, Attribution) else list(results)
    if not every:
        raise InvalidInputError("there is no attribution to sum; attribute an image first.")
    try:
        column = GroupBy(by)
    except ValueError as error:
        raise InvalidInputError(f"by is {by!r}, expected one of {', '.join(map(str, GroupBy))}.") from error
    wrong = next((r for r in every if r.n_training != len(corpus)), None)
    if wrong is not None:
        raise CollectionMismatchError(
            f"an attribution over {wrong.n_training:,} images cannot be summed by a corpus "
            f"of {len(corpus):,}; give those of one collection, without added candidates."
        )
    images, of_work = corpus.counts(str(column)), corpus.credited(str(column))
    total: dict[str, list[float]] = {}
    listed: dict[str, set[int]] = {}
    works: dict[str, set[str]] = {}
    for result in every:
        for k, credit in enumerate(result.credits):
            name = of_work.get(credit.work, getattr(credit, str(column)))
            sums = total.setdefault(name, [0.0, 0.0, 0.0])
            for place, values in enumerate((result.influence, result.influence_low, result.influence_high)):
                sums[place] += float(values[k]) / len(every)
            listed.setdefault(name, set()).add(int(result.ids[k]))
            works.setdefault(name, set()).add(credit.work or f"\0{result.ids[k]}")
    groups = [
        Group(
            name or UNKNOWN,
            sums[0],
            sums[1],
            min(sums[2], 1.0),
            len(listed[name]),
            images[name],
            images[name] / len(corpus),
            len(works[name]),
        )
        for name, sums in total.items()
    ]
    rest, low, high = (_mean(getattr(r, name) for r in every) for name in ("rest", "rest_low", "rest_high"))
    return Groups(
        column, tuple(sorted(groups, key=lambda g: (-g.influence, g.name))), rest, low, high, len(corpus)
    )


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)
