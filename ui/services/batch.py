"""What the page asks of the library for many images at once: read files and ZIP files within limits, row by row."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from attribution_core.collection.sources.archive import ZIP, ZipLimits, ZipSource
from attribution_core.collection.sources.item import SourceItem
from attribution_core.errors import InvalidInputError
from attribution_core.reports.batch.attribute import BatchOptions, attribute_batch
from attribution_core.reports.batch.row import BatchRow
from attribution_core.reports.batch.summary import BatchSummary
from ui.services.app import Services
from ui.services.background import in_background
from ui.services.uploads import LARGEST, uploaded

_BLOCK = 8  # images between two looks at the page
_ENTRIES = 10  # times the images that are allowed: entries of a ZIP file, which has folders and notes, too


@dataclass(frozen=True, eq=False)
class Batch:
    """A visitor's batch, as far as it is. total: images in it. method, said_so: how it is attributed."""

    summary: BatchSummary
    total: int
    method: str
    said_so: bool

    @property
    def is_complete(self) -> bool:
        """Whether every image was looked at."""
        return len(self.summary.rows) == self.total


@dataclass(frozen=True, eq=False)
class _Given:
    """What a visitor dropped. items: can be read once. unread: files of ZIP files that are no images."""

    items: Iterable[SourceItem]
    count: int
    unread: tuple[tuple[str, str], ...]


class BatchServices:
    """Many images at once over the opened collection."""

    def __init__(self, services: Services, uploads: Path) -> None:
        """services: what all tabs share. uploads: where uploaded files lie."""
        self._services, self._uploads = services, uploads

    def ask(
        self, paths: Sequence[str] | None, method: str | None, said_so: bool, earlier: Batch | None = None
    ) -> Generator[Batch, None, None]:
        """Yield the batch as it grows; closing the iterator stops it.

        earlier: what an interrupted call left, whose rows are taken where file and settings are the same. Raises
        `InvalidInputError` where there is no image, or more than the settings allow, and what attributing raises.
        """
        given = self._items(paths)
        attributor = self._services.attributor(method)
        collection = attributor.collection
        same = earlier is not None and (earlier.method, earlier.said_so) == (collection.method, said_so)
        known = {row.name: row for row in earlier.summary.rows} if same and earlier is not None else {}

        def work(report: Callable[[Batch], None]) -> Batch:
            copies = self._services.copies if self._services.copies.is_quick else None
            rows: list[BatchRow] = []

            def so_far() -> Batch:
                summary = BatchSummary.of(
                    rows, collection, copies_checked=copies is not None, unread=given.unread
                )
                return Batch(summary, given.count, collection.method, said_so)

            for block in attribute_batch(given.items, attributor, copies, self._options(said_so), known):
                rows += block
                report(so_far())
            return so_far()

        with closing(in_background(work, "batch")) as events:
            yield from events

    def _options(self, said_so: bool) -> BatchOptions:
        return BatchOptions(
            top=self._services.settings.top,
            said_so=said_so,
            block=_BLOCK,
            limits=self._services.limits,
            largest=LARGEST,
        )

    def _items(self, paths: Sequence[str] | None) -> _Given:
        """The images in uploaded files; those in ZIP files are read when their turn comes."""
        files = [uploaded(path, self._uploads) for path in paths or ()]
        if not files:
            raise InvalidInputError("there are no images yet; drop image files or a ZIP file of them first.")
        settings = self._services.settings
        limits = ZipLimits(
            _ENTRIES * settings.batch_images, settings.batch_mb * 1_000_000, self._services.limits.file_bytes
        )
        parts: list[Iterable[SourceItem]] = []
        unread: list[tuple[str, str]] = []
        count = size = 0
        for file in files:
            if file.suffix.lower() == ZIP:
                source = ZipSource(file, limits)
                parts.append(source.items(lambda _: True))
                unread += source.unread
                count, size = count + (source.total(0) or 0), size + source.size
            else:
                parts.append([SourceItem(file.name, file)])
                count, size = count + 1, size + file.stat().st_size
        if count > settings.batch_images:
            raise InvalidInputError(
                f"these are {count:,} images, at most {settings.batch_images:,} are taken at a time; give fewer, or "
                "use the command 'attribute' for any number."
            )
        if size > limits.size:
            raise InvalidInputError(
                f"these images have {size / 1e6:,.0f} MB together, at most {settings.batch_mb:,} MB are taken at a "
                "time; give fewer."
            )
        return _Given(chain.from_iterable(parts), count, tuple(unread))
