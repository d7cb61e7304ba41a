"""What a build did: images that came in, files that did not and why, rows of a table without an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from attribution_core.collection.collection import Collection


@dataclass(frozen=True)
class Skipped:
    """An image that is not in the collection, and why; or one of which something was left aside."""

    file: str
    reason: str


@dataclass(frozen=True)
class IndexReport:
    """What `build_collection` did.

    notice: a sentence about the calibrator, "" where there is none to say. added: images that are new. known: images
    whose ids were there already. notes: images that are in the collection without something of theirs. unmatched_rows,
    unmatched_images: of the metadata, those without the other. unread: files that lie in the source and are none of its
    images. unnamed_rows: rows of the metadata that name no image. unused_columns: its columns that fill none.
    """

    collection: Collection
    skipped: tuple[Skipped, ...]
    notice: str = ""
    added: int = 0
    known: int = 0
    notes: tuple[Skipped, ...] = ()
    unmatched_rows: tuple[str, ...] = ()
    unmatched_images: tuple[str, ...] = ()
    unread: tuple[Skipped, ...] = ()
    unnamed_rows: int = 0
    unused_columns: tuple[str, ...] = ()

    @property
    def repeated(self) -> int:
        """Images that are near-duplicates of another one."""
        return int(self.collection.card.get("near_duplicates", {}).get("repeated", 0))


def entries(told: Iterable[Mapping[str, str]]) -> tuple[Skipped, ...]:
    """What shards and `skipped.json` hold of files."""
    return tuple(Skipped(**entry) for entry in told)
