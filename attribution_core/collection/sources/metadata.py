"""Creators, licences, links and captions from a table beside the images."""

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

_DIGITS_LOST = 2.0**53  # from there on, a float may stand for its neighbours, too
KEYS = ("file", "file_name", "filename", "path", "id", "key")
"""Columns that may name the image, in the order in which they are looked for."""


@dataclass(frozen=True)
class Metadata:
    """Rows by the image that they name; in memory, some hundred bytes each.

    digest: SHA-256 of the file. unnamed: how many rows name no image. unused: columns that fill none of the corpus's.
    """

    rows: Mapping[str, Mapping[str, str]]
    path: str = ""
    digest: str = ""
    unnamed: int = 0
    unused: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path | str, columns: Columns | None = None, key: str | None = None) -> Metadata:
        """Read a CSV (UTF-8, with a header), Parquet or JSON file; see `Table`.

        columns: which of its columns fills which. key: the one that names the image; default: the first of `KEYS`.
        Raises `InvalidInputError` for what is none of these, has no such column, fills no column of the corpus, or has
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
        for name in (column, *used.values()):  # of a CSV file they are refused when it is opened
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
        found: dict[str, Mapping[str, str]] = {}
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
            elif name in found:
                raise InvalidInputError(f"'{path}' has two rows for '{name}'; an image needs at most one.")
            else:
                found[name] = take(row, used)
        unused = tuple(n for n in names if n and n != column and n not in used.values())
        return cls(found, str(path), sha256_file(path), unnamed, unused)

    def of(self, item: SourceItem) -> str | None:
        """Which row names the image: by its id, else by the fullest of its other names; None where there is none.

        Raises `InvalidInputError` where two rows that say different things name it equally well.
        """
        return next(iter(self.candidates(item.id, item.names)), None)

    def candidates(self, image: str, names: Sequence[str]) -> list[str]:
        """Rows that name an image, the best first. Raises as `of` does."""
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
    """Gives each image its row, and no row to two images.

    A row belongs to the image whose id it names. By a shorter name (a file's without its folder, a sample's without its
    shard) it joins only where one image goes by it.
    """

    def __init__(self, table: Metadata, taken: Mapping[str, str] | None = None) -> None:
        """taken: row -> image that has it from an earlier run."""
        self.table = table
        self.taken = dict(taken or {})

    def plan(self, images: Iterable[tuple[str, str, Sequence[str]]]) -> None:
        """Join all images before any is encoded: (id in the collection, id in the source, other names) of each.

        Raises `InvalidInputError` where a row would go to two images, or no row joins any image. Nothing is known, and
        nothing raised, where there are no images: a stream names them when they come.
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
        """The row of an image, which is its own from now on; None where it has none.

        name: id in the collection. image: id in the source. Raises `InvalidInputError` where the row is another's.
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
        """Make (not raise) the error for a table that names none of the images. image: one of them, for example."""
        return InvalidInputError(
            f"none of the {len(self.table.rows):,} rows of '{self.table.path}' names an image: the first is called "
            f"'{next(iter(self.table.rows), '')}', an image '{image}'; correct the names, or give the right --key."
        )


def _plain(name: str) -> str:
    """A name as it is compared: slashes of one kind, letters composed as most programs write them."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _alike(one: str, other: str) -> bool:
    """Whether two names differ in their endings at most."""
    first, second = PurePosixPath(one), PurePosixPath(other)
    return one in (other, str(second.with_suffix(""))) or other == str(first.with_suffix(""))
