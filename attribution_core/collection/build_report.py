"""The result of a build: images added, files skipped and why, rows of a table without an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attribution_core.collection.collection import Collection


@dataclass(frozen=True)
class Skipped:
    """A file that was skipped or not read in full, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class IndexReport:
    """The result of `build_collection`.

    notice: a warning about the calibrator, or "". added: how many images are new. known: how many ids of the source
    were in the collection already. notes: images of which something could not be read. unmatched_rows,
    unmatched_images: rows of the metadata without an image, images without a row. unread: files of the source that are
    not its images. unnamed_rows: how many rows of the metadata name no image. unused_columns: columns of the metadata
    that fill none of the corpus's. opted_out: images that were left out because their owners opted out, and why;
    the first `refused` of them were left out by earlier calls. listed: how many images of the collection a list names
    though they are in it without a mark. entries: how many entries the lists have. unmatched_entries: those that name
    no image -> what may have been meant, or "". earlier_lists: opt-out lists of earlier builds, which were applied, too
    -> whether they have changed since.
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
    opted_out: tuple[Skipped, ...] = ()
    refused: int = 0
    listed: int = 0
    entries: int = 0
    unmatched_entries: Mapping[str, str] = field(default_factory=dict)
    earlier_lists: Mapping[str, bool] = field(default_factory=dict)

    @property
    def marked(self) -> int:
        """How many images of the collection are marked as opted out."""
        return int(self.collection.card.get("opted_out", {}).get("marked", 0))

    @property
    def repeated(self) -> int:
        """How many images are near-duplicates of another."""
        return int(self.collection.card.get("near_duplicates", {}).get("repeated", 0))
