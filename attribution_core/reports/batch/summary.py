"""A batch as a whole: how many images, which are copies, and shares summed by maker."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from attribution_core.attribution.groups import GroupBy
from attribution_core.collection.collection import Collection
from attribution_core.common.text import csv_text
from attribution_core.reports.batch.row import BatchRow, rounded
from attribution_core.reports.meaning import CAVEAT

NO_SHARES = (
    "No image is known to be made by a model that was trained on this collection, so shares mean nothing and there is "
    "no sum by maker."
)
REST = "everything else"


@dataclass(frozen=True)
class MakerSum:
    """One maker over all images with shares.

    influence, low, high: sums of the shares, up to the number of these images. mean: influence over that number.
    images: in how many of them something of theirs is listed. copies: images that are copies of theirs.
    training_images: theirs in the collection; None for everything else.
    """

    name: str
    influence: float
    low: float
    high: float
    mean: float
    images: int
    copies: int
    training_images: int | None


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """The rows of a batch in the order of the source, and what they add up to; see `of`."""

    rows: tuple[BatchRow, ...]
    makers: tuple[MakerSum, ...]
    collection: str
    method: str
    n_training: int
    copies_checked: bool
    unread: tuple[tuple[str, str], ...] = field(default=())

    @classmethod
    def of(
        cls,
        rows: Iterable[BatchRow],
        collection: Collection,
        *,
        copies_checked: bool,
        unread: Sequence[tuple[str, str]] = (),
    ) -> BatchSummary:
        """Sum rows over one collection, images that are the same file once.

        unread: files of the source that are no images, with the reason.
        """
        kept = _same_told(rows)
        return cls(
            kept,
            _sums([row for row in kept if not row.same_as], collection),
            collection.name,
            collection.method,
            len(collection.index),
            copies_checked,
            tuple(unread),
        )

    @property
    def attributed(self) -> int:
        """How many images were attributed."""
        return sum(not row.problem for row in self.rows)

    @property
    def with_shares(self) -> int:
        """How many different files have shares of influence."""
        return sum(row.has_shares and not row.same_as for row in self.rows)

    @property
    def repeated(self) -> int:
        """How many were attributed and are the same file as an earlier one."""
        return sum(bool(row.same_as) and not row.problem for row in self.rows)

    @property
    def copies(self) -> tuple[BatchRow, ...]:
        """Those that are called copies, most similar first; of images that are the same file, the first."""
        found = (row for row in self.rows if row.is_copy and not row.same_as)
        return tuple(sorted(found, key=lambda row: -row.copy.similarity if row.copy else 0))

    @property
    def sentence(self) -> str:
        """How many images there were, how many could not be read, and how many are copies."""
        failed = len(self.rows) - self.attributed
        words = f"{_images(self.attributed)} attributed"
        if self.repeated:
            words += f", {self.repeated:,} of them the same file as another and counted once"
        words += f", {failed:,} could not be read" if failed else ""
        if not self.copies_checked:
            return f"{words}; copies were not looked for, as this collection's copy index is not stored."
        copies = len(self.copies)
        if not copies:
            return f"{words}; none is called a copy of a training image."
        copied = "is most likely a copy of a training image"
        return f"{words}; {f'1 {copied}' if copies == 1 else f'{copies:,} are most likely copies of training images'}."

    @property
    def copy_how(self) -> str:
        """How reliable the word copy is here; "" where none was looked for."""
        check = next((row.copy for row in self.rows if row.copy is not None), None)
        if check is None:
            return ""
        if check.threshold is None:
            return (
                f"How similar copies are was never measured for {check.encoder}, so nothing is called a copy."
            )
        measured = f"; where that was measured, {check.precision:.0%} of what it called a copy was one"
        return (
            f"An image is called a copy from a similarity of {check.threshold:.3f} on, in the features of "
            f"{check.encoder}{measured if check.precision is not None else ''}."
        )

    @property
    def sum_means(self) -> str:
        """What a maker's sum is, in two sentences; or that there is none."""
        count = self.with_shares
        if not count:
            return NO_SHARES
        return (
            f"A maker's sum adds up the shares of their training images over {_images(count)} with shares; all makers "
            f"and everything else add up to {count:,}. The mean share is the sum divided by {count:,}."
        )

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain numbers and text, without the rows."""
        return {
            "collection": self.collection,
            "method": self.method,
            "n_training": self.n_training,
            "images": len(self.rows),
            "attributed": self.attributed,
            "with_shares": self.with_shares,
            "copies": [row.name for row in self.copies] if self.copies_checked else None,
            "sentence": self.sentence,
            "how_copies": self.copy_how,
            "makers": [asdict(maker) for maker in self.makers],
            "sum_means": self.sum_means,
            "caveat": CAVEAT,
            "same_files": [{"image": r.name, "same_as": r.same_as} for r in self.rows if r.same_as],
            "not_attributed": [{"image": r.name, "problem": r.problem} for r in self.rows if r.problem],
            "not_read": [{"file": name, "reason": reason} for name, reason in self.unread],
        }

    def images_csv(self) -> str:
        """One line an image."""
        return csv_text(BatchRow("").to_table(), (row.to_table() for row in self.rows))

    def images_jsonl(self) -> str:
        """One JSON object a line for each image, with all that `images_csv` has, all digits, and more."""
        return _lines(row.to_dict() for row in self.rows)

    def makers_csv(self) -> str:
        """One line a maker, most influence first, and one for everything else; numbers have four significant digits."""
        return csv_text(MakerSum.__dataclass_fields__, (rounded(asdict(maker)) for maker in self.makers))

    def makers_jsonl(self) -> str:
        """The same as one JSON object a line, with all digits."""
        return _lines(asdict(maker) for maker in self.makers)


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _same_told(rows: Iterable[BatchRow]) -> tuple[BatchRow, ...]:
    """Rows that say which earlier image is the same file."""
    first: dict[str, str] = {}
    return tuple(
        replace(row, same_as="" if same == row.name else same)
        for row in rows
        for same in (first.setdefault(row.sha256, row.name) if row.sha256 else row.name,)
    )


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows)


def _sums(rows: Sequence[BatchRow], collection: Collection) -> tuple[MakerSum, ...]:
    """Sums by maker, and the rest. Bounds add up: each image's bounds its own share."""
    corpus = collection.corpus
    shared = [row for row in rows if row.has_shares]
    if not shared:
        return ()
    totals: dict[str, list[float]] = {}
    for row in shared:
        for maker in row.makers:
            sums = totals.setdefault(maker.name, [0.0, 0.0, 0.0, 0])
            for k, value in enumerate((maker.influence, maker.low, maker.high, 1)):
                sums[k] += value
    copied: dict[str, int] = {}
    for row in rows:
        if row.is_copy and row.copy is not None:
            copied[row.copy.creator] = copied.get(row.copy.creator, 0) + 1
    training = corpus.counts(str(GroupBy.CREATOR))
    count = len(shared)
    sums_by_name = [
        MakerSum(
            shown,
            influence,
            low,
            high,
            influence / count,
            int(images),
            copied.get(shown, 0),
            training.get(name),
        )
        for name, (influence, low, high, images) in totals.items()
        for shown in (corpus.maker(name),)
    ]
    rest = [sum(getattr(row, end) for row in shared) for end in ("rest", "rest_low", "rest_high")]
    makers = sorted(sums_by_name, key=lambda maker: (-maker.influence, maker.name))
    return (*makers, MakerSum(REST, rest[0], rest[1], rest[2], rest[0] / count, count, 0, None))
