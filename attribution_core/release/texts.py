"""Captions and links of a training set, from a text file with a line per image or a table joined by path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from attribution_core.common.cells import as_text
from attribution_core.common.tables import SUFFIXES, Table, find_column, plain_name
from attribution_core.corpus.corpus import TEXT_COLUMNS
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError

_KEYS = ("file", "path", "key", "id")
_ALIASES = {"text": "caption", "url": "link", "license": "licence", "author": "creator"}
"""Column names of LAION's tables, in lower case."""
_UNKNOWN = ("?", "None")


class Texts(Protocol):
    """Captions, links and credits of images, in the images' order."""

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """Return corpus columns of the images start..stop-1; fastest in ascending order."""


def open_texts(path: Path, images: tuple[str, ...]) -> Texts:
    """Read a text file, or a table: CSV, Parquet, JSON lines or a JSON list.

    path: a .txt file with one line per image, in order, holding its caption, or caption, tab and link; or a table. A
    table needs a column that identifies images (file, path, key or id: the path, the file name, or the file name
    without suffix, if unique) and any of a corpus's text columns, or LAION's (TEXT, URL, LICENSE). Images that are not
    in the table have no caption. Raises `CheckpointError`, or `CollectionMismatchError` if the file belongs to other
    images.
    """
    if path.suffix.lower() in SUFFIXES:
        return _Table(path, images)
    return _Lines(path, len(images))


class _Lines:
    """A text file with one line per image, read sequentially."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._position = path, 0
        try:
            with path.open("rb") as file:
                last = b""
                lines = 0
                while block := file.read(1 << 20):
                    lines, last = lines + block.count(b"\n"), block[-1:]
        except OSError as error:
            raise CheckpointError(f"'{path}' cannot be read ({error.strerror or error}).") from error
        lines += last not in (b"", b"\n")
        if lines != count:
            raise CollectionMismatchError(
                f"'{path}' has {lines:,} lines for {count:,} images; expected one line per image, in the order of the "
                "features."
            )
        self._lines = self._read()

    def _read(self) -> Iterator[str]:
        with self._path.open(
            "rb"
        ) as file:  # binary: captions may contain characters that text mode splits lines at
            for number, line in enumerate(file):
                encoding = "utf-8" if number else "utf-8-sig"
                yield line.rstrip(b"\r\n").decode(encoding, "replace")

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """See `Texts`."""
        if start < self._position:
            self._lines, self._position = self._read(), 0
        lines = itertools.islice(self._lines, start - self._position, stop - self._position)
        self._position = stop
        return [_line(line) for line in lines]


def _line(line: str) -> dict[str, str]:
    caption, _, link = line.rpartition("\t")
    if caption and link.lower().startswith(("http://", "https://")):
        return {"caption": caption.strip(), "link": link.strip()}
    return {"caption": line.replace("\t", " ").strip()}


class _Table:
    """A table joined by the images' paths, held in memory."""

    def __init__(self, path: Path, images: tuple[str, ...]) -> None:
        try:
            table = Table.open(path, _KEYS)
            key = next(filter(None, (find_column(name, table.names) for name in _KEYS)), None)
            renamed = {name: _ALIASES.get(plain_name(name), plain_name(name)) for name in table.names}
            columns = {
                column: name
                for name, column in reversed(renamed.items())
                if column in TEXT_COLUMNS and column != "id" and name != key
            }
            if key is None or not columns:
                raise CheckpointError(
                    f"'{path}' has the columns {', '.join(table.names)}; expected one of "
                    f"{', '.join(_KEYS)}, and one of caption, link, licence or creator."
                )
            self._names = tuple(columns)
            self._rows = self._read(table, key, columns)
        except InvalidInputError as error:
            raise CheckpointError(str(error)) from error
        forms = (images, [i.rsplit("/", 1)[-1] for i in images], [PurePosixPath(i).stem for i in images])
        self._keys = max(forms, key=lambda form: sum(name in self._rows for name in form))
        used = {name: image for name, image in zip(self._keys, images, strict=True) if name in self._rows}
        if not used:
            raise CollectionMismatchError(
                f"'{path}' names none of the images in its column '{key}' (the first image is '{images[0]}')."
            )
        for name, image in zip(self._keys, images, strict=True):
            if used.get(name, image) != image:
                raise CollectionMismatchError(
                    f"'{path}' has one row '{name}' for two images, '{image}' and '{used[name]}'; use their full "
                    "paths, one row each."
                )

    @staticmethod
    def _read(table: Table, key: str, columns: dict[str, str]) -> dict[str, tuple[str, ...]]:
        rows: dict[str, tuple[str, ...]] = {}
        for _, row in table:
            name = as_text(row.get(key))
            values = tuple(as_text(row.get(source), column) for column, source in columns.items())
            if rows.setdefault(name, values) != values and name:
                raise CheckpointError(
                    f"'{table.path}' has two rows for '{name}'; expected at most one per image."
                )
        rows.pop("", None)
        return rows

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """See `Texts`."""
        rows = (self._rows.get(name, ()) for name in self._keys[start:stop])
        return [
            {
                name: value
                for name, value in zip(self._names, row, strict=False)
                if value and value not in _UNKNOWN
            }
            for row in rows
        ]
