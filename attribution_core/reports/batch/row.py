"""One image of a batch as plain numbers and text, which can be written, read back and summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.attribution.groups import UNKNOWN, GroupBy, group
from attribution_core.attribution.result import Attribution
from attribution_core.common.images import data_uri, scaled_down
from attribution_core.corpus.corpus import Corpus
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.wording.headline import headline, similarity_headline

SHOWN = 3
"""Works of an image that tables show."""
_WORK_COLUMNS = ("id", "caption", "creator", "licence", "link", "influence", "low", "high", "similarity")
_PICTURE = 112  # px; longer side of the picture that is kept of a copy


@dataclass(frozen=True)
class BatchWork:
    """A listed training image, with its near-duplicates as one work. influence, low, high: 0 to 1, of all of them.

    similarity: in [-1, 1], of the nearest. images: how many it is.
    """

    id: str
    caption: str
    creator: str
    source: str
    licence: str
    link: str
    influence: float
    low: float
    high: float
    similarity: float
    images: int


@dataclass(frozen=True)
class MakerShare:
    """The shares of one maker's listed works in one image, together; near-duplicates by several makers name all."""

    name: str
    influence: float
    low: float
    high: float


@dataclass(frozen=True)
class CopyCheck:
    """Whether an image is a copy of a training image. is_copy: None where no threshold was measured.

    matches: training images that reach the threshold; of several that look alike, it need not copy the nearest.
    precision: of what is called a copy at this threshold, the part that was one where it was measured. picture: a data
    URI of the image, where it is a copy.
    """

    is_copy: bool | None
    similarity: float
    threshold: float | None
    precision: float | None
    encoder: str
    matches: int
    id: str
    caption: str
    creator: str
    licence: str
    link: str
    position: int
    picture: str = ""


@dataclass(frozen=True)
class BatchRow:
    """What was found for one image.

    Attributes:
        name: Its path or id in the source.
        sha256: Of its file; "" where there was nothing to read.
        problem: Why it was not attributed; "" where it was.
        made_by: What is known of its making, as `MadeBy` says it.
        recipe: What its file says made it, by the fields of `Recipe`.
        headline: What was found, in one sentence.
        works: The first listed works, most influential first.
        listed: How many training images are listed.
        rest: Influence of all that are not, with its interval.
        makers: Shares by maker of all that are listed; empty where the shares mean nothing, see `MadeBy`.
        copy: Whether it is a copy; None where that was not looked for.
        same_as: The first image of the batch that is the same file, and stands for both in all sums; "" where it is
            the first itself. `BatchSummary.of` sets it.
    """

    name: str
    sha256: str = ""
    problem: str = ""
    made_by: str = ""
    recipe: Mapping[str, Any] | None = None
    headline: str = ""
    stands_out: bool = False
    works: tuple[BatchWork, ...] = ()
    listed: int = 0
    rest: float = 0.0
    rest_low: float = 0.0
    rest_high: float = 0.0
    makers: tuple[MakerShare, ...] = ()
    copy: CopyCheck | None = None
    same_as: str = ""

    @property
    def has_shares(self) -> bool:
        """Whether its shares mean influence."""
        return bool(self.makers)

    @property
    def is_copy(self) -> bool:
        """Whether it is called a copy of a training image."""
        return self.copy is not None and bool(self.copy.is_copy)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, as one JSON line holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchRow:
        """Read what `to_dict` wrote. Raises `TypeError`, `KeyError` or `AttributeError` for anything else."""
        return cls(
            **{
                **values,
                "works": tuple(BatchWork(**work) for work in values["works"]),
                "makers": tuple(MakerShare(**maker) for maker in values["makers"]),
                "copy": None if values["copy"] is None else CopyCheck(**values["copy"]),
            }
        )

    def to_table(self) -> dict[str, Any]:
        """One flat row of a table: what the image is, whether it is a copy, and its first works.

        Numbers are rounded to four significant digits, as people read them; `to_dict` has all digits.
        """
        recipe, copy = self.recipe or {}, self.copy
        row: dict[str, Any] = {
            "image": self.name,
            "problem": self.problem,
            "same_as": self.same_as,
            "headline": self.headline,
            "made_by": self.made_by,
            **{key: recipe.get(key) for key in ("prompt", "seed", "generator")},
            "copy": None if copy is None else copy.is_copy,
            "copy_similarity": copy and copy.similarity,
            "copy_threshold": copy and copy.threshold,
            "copy_precision": copy and copy.precision,
            "copy_matches": copy and copy.matches,
            "copy_of": copy and copy.id,
            "copy_creator": copy and copy.creator,
        }
        for k in range(SHOWN):
            work = self.works[k] if k < len(self.works) else None
            row |= {f"work_{k + 1}_{name}": work and getattr(work, name) for name in _WORK_COLUMNS}
        attributed = not self.problem
        row |= {
            "listed": self.listed if attributed else None,
            "rest": self.rest if attributed else None,
            "sha256": self.sha256,
        }
        return rounded(row)


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its fractional numbers rounded to four significant digits, for tables that people open."""
    return {name: float(f"{v:.4g}") if isinstance(v, float) else v for name, v in row.items()}


def batch_row(
    name: str,
    sha256: str,
    result: Attribution,
    corpus: Corpus,
    *,
    recipe: Recipe | None = None,
    copy: CopyCheck | None = None,
    works: int = 10,
) -> BatchRow:
    """Gather what is kept of one attributed image. works: how many are named."""
    listed = [
        BatchWork(
            credit.id,
            credit.caption,
            corpus.maker(" or ".join(sorted({maker for maker in work.creators if maker}))),
            credit.source,
            credit.licence,
            credit.link,
            work.influence,
            work.low,
            work.high,
            float(result.similarity[first]),
            len(work.places),
        )
        for work in result.works[:works]
        for first in (work.places[0],)
        for credit in (result.credits[first],)
    ]
    groups = group(result, corpus, GroupBy.CREATOR).groups if result.has_shares else ()
    return BatchRow(
        name,
        sha256,
        made_by=str(result.made_by),
        recipe=None if recipe is None else asdict(recipe),
        headline=headline(result) if result.has_shares else similarity_headline(result),
        stands_out=result.stands_out and result.has_shares,
        works=tuple(listed),
        listed=len(result),
        rest=result.rest,
        rest_low=result.rest_low,
        rest_high=result.rest_high,
        makers=tuple(MakerShare(g.name, g.influence, g.low, g.high) for g in groups),
        copy=copy,
    )


def copy_check(verdict: Verdict, image: Image.Image, corpus: Corpus) -> CopyCheck:
    """What is kept of a verdict. image: the PIL image that was judged."""
    threshold, credit = verdict.threshold, verdict.credit
    creator = corpus.credited(str(GroupBy.CREATOR)).get(credit.work, credit.creator)
    return CopyCheck(
        verdict.is_copy,
        float(verdict.similarity[0]),
        None if threshold is None else threshold.value,
        None if threshold is None else threshold.precision,
        verdict.encoder,
        verdict.copies,
        credit.id,
        credit.caption,
        corpus.maker(creator) or UNKNOWN,
        credit.licence,
        credit.link,
        int(verdict.ids[0]),
        data_uri(scaled_down(image, _PICTURE), _PICTURE) if verdict.is_copy else "",
    )
