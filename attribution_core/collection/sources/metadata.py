"""Creators, licences, links and captions from a table that comes with the images."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from attribution_core.collection.sources.item import Columns, SourceItem, take
from attribution_core.common.cells import as_text
from attribution_core.common.files import sha256_file
from attribution_core.common.tables import Table, find_column, plain_name
from attribution_core.errors import InvalidInputError

_DIGITS_LOST = 2.0**53  # from here on, a float cannot represent every integer
KEYS = ("file", "file_name", "filename", "path", "id", "key")
"""Columns that may name the image, in the order in which they are tried."""


@dataclass(frozen=True)
class Metadata:
    """Rows by the name of their image; kept in memory, a few hundred bytes each.

    digest: SHA-256 of the file. unnamed: number of rows that name no image. unused: columns that fill none of the
    corpus's.
    """

    rows: Mapping[str, Mapping[str, str]]
    path: str = ""
    digest: str = ""
    unnamed: int = 0
    unused: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path | str, columns: Columns | None = None, key: str | None = None) -> Metadata:
        """Read a CSV (UTF-8, with a header), Parquet or JSON file; see `Table`.

        columns: which of its columns to use. key: the column that names the image; by default the first of `KEYS`.
        Raises `InvalidInputError` if the file is none of these, lacks a column, fills no column of the corpus, or has
        two rows for one image.
        """
        table = Table.open(path, [key] if key else KEYS)
        names = table.names
        rows = iter(table)
        first = next(rows, None)
        if first is None:
            raise InvalidInputError(
                f"'{path}' has no rows; its first should read like: file,caption,creator,licence,link."
            )
        column = next(filter(None, (find_column(k, names) for k in ([key] if key else KEYS))), None)
        if column is None:
            raise InvalidInputError(
                f"'{path}' has no column '{key or KEYS[0]}' that names the images, but "
                f"{', '.join(names)}; name the right one with --key."
            )
        used = (columns or Columns()).of(names, f"'{path}'")
        for name in (column, *used.values()):  # a CSV file with such columns cannot be opened
            alike = next((n for n in names if n != name and plain_name(n) == plain_name(name)), None)
            if alike is not None:
                raise InvalidInputError(
                    f"'{path}' has the columns '{name}' and '{alike}', which are read as one; rename one of them."
                )
        if not set(used.values()) - {column}:
            raise InvalidInputError(
                f"'{path}' has no column that says anything of an image, but {', '.join(names)}; expected caption, "
                "creator, licence or link, or name the right ones with --columns creator=artist."
            )
        by_image: dict[str, Mapping[str, str]] = {}
        unnamed = 0
        for number, row in (first, *rows):
            cell = row.get(column)
            if isinstance(cell, float) and abs(cell) >= _DIGITS_LOST:
                raise InvalidInputError(
                    f"'{path}' has {cell:.17g} as '{column}' in {table.numbered} {number}, a number that is stored "
                    "with too few digits to tell which image is meant; write ids as text."
                )
            name = _plain(as_text(cell))
            if not name:
                unnamed += 1
            elif name in by_image:
                raise InvalidInputError(f"'{path}' has two rows for '{name}'; an image needs at most one.")
            else:
                by_image[name] = take(row, used)
        unused = tuple(n for n in names if n and n != column and n not in used.values())
        return cls(by_image, str(path), sha256_file(path), unnamed, unused)

    def of(self, item: SourceItem) -> str | None:
        """Return the row of an image, found by its id or else its longest other name; None if it has none.

        Raises `InvalidInputError` if two rows with different content name it equally well.
        """
        return next(iter(self.candidates(item.id, item.names)), None)

    def candidates(self, image: str, names: Sequence[str]) -> list[str]:
        """Return all rows that name an image, the best first. Raises as `of` does."""
        hits = [n for n in dict.fromkeys(map(_plain, (image, *names))) if n in self.rows]
        if hits and hits[0] != _plain(image):
            rival = next(
                (n for n in hits[1:] if _alike(n, hits[0]) and self.rows[n] != self.rows[hits[0]]), None
            )
            if rival is not None:
                raise InvalidInputError(
                    f"'{self.path}' has the rows '{hits[0]}' and '{rival}' for the image '{image}'; keep one of them."
                )
        return hits


class Join:
    """Assigns rows to images, each row to one image at most.

    A row belongs to the image whose id it names. A shorter name (a file without its folder, a sample without its shard)
    counts only if it fits a single image.
    """

    def __init__(self, table: Metadata, taken: Mapping[str, str] | None = None) -> None:
        """taken: row -> image, as assigned by earlier runs."""
        self.table = table
        self.taken = dict(taken or {})

    def plan(self, images: Iterable[tuple[str, str, Sequence[str]]]) -> None:
        """Assign rows before any image is encoded.

        images: (id in the collection, id in the source, other names) of each; none for a stream, whose names are not
        known yet. Raises `InvalidInputError` if a row would go to two images, or no row fits any image.
        """
        known = list(images)
        for name, image, _ in known:
            row = _plain(image)
            if row in self.table.rows and self.taken.setdefault(row, name) != name:
                raise self._two(row, self.taken[row], name)
        for name, image, others in known:
            self.row(name, image, others)
        if known and not self.taken:
            raise self.nothing_joined(known[0][1])

    def row(self, name: str, image: str, others: Sequence[str]) -> str | None:
        """Return the row of an image and assign it; None if there is none.

        name: id in the collection. image: id in the source. Raises `InvalidInputError` if another image has the row.
        """
        for row in self.table.candidates(image, others):
            owner = self.taken.setdefault(row, name)
            if owner == name:
                return row
            if row != _plain(image) and row != _plain(owner):
                raise self._two(row, owner, name)
        return None

    def _two(self, row: str, one: str, other: str) -> InvalidInputError:
        return InvalidInputError(
            f"the row '{row}' of '{self.table.path}' names two images, '{one}' and '{other}'; "
            "write their whole ids into the table, a row each, or give what is added a table of its own."
        )

    def nothing_joined(self, image: str) -> InvalidInputError:
        """Return the error for a table that names none of the images. image: one of them, as an example."""
        return InvalidInputError(
            f"none of the {len(self.table.rows):,} rows of '{self.table.path}' names an image: the first is called "
            f"'{next(iter(self.table.rows), '')}', an image '{image}'; correct the names, or give the right --key."
        )


def _plain(name: str) -> str:
    """Normalise a name for comparison: forward slashes, no leading "./", composed Unicode (NFC)."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _alike(one: str, other: str) -> bool:
    """Whether two names are equal except for an ending."""
    first, second = PurePosixPath(one), PurePosixPath(other)
    return one in (other, str(second.with_suffix(""))) or other == str(first.with_suffix(""))
