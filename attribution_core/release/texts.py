"""Captions and links of a training set by the paths of its images: a line each, or a table that is joined."""

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
"""What LAION's own tables call columns; names are read without regard to case."""
_UNKNOWN = ("?", "None")


class Texts(Protocol):
    """Captions, links and credits of images in their order."""

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """Columns of a corpus for images from `start` up to, not with, `stop`; asked for in rising order."""


def open_texts(path: Path, images: tuple[str, ...]) -> Texts:
    """Read a text file, or a table: CSV, Parquet, JSON lines or a JSON list.

    path: .txt with one line an image, in their order: its caption, or caption, tab and link; or a table with a column
    of paths (file, path, key or id: the path, its last part, or that without its ending, by which one image alone goes)
    and any of a corpus's text columns, or LAION's (TEXT, URL, LICENSE). Images that a table does not name have no
    caption. Raises `CheckpointError`, `CollectionMismatchError` where it does not belong to these images.
    """
    if path.suffix.lower() in SUFFIXES:
        return _Table(path, images)
    return _Lines(path, len(images))


class _Lines:
    """A line an image, read once from the start to the end."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._place = path, 0
        try:
            with path.open("rb") as file:
                ends = last = b""
                lines = 0
                while ends := file.read(1 << 20):
                    lines, last = lines + ends.count(b"\n"), ends[-1:]
        except OSError as error:
            raise CheckpointError(f"'{path}' cannot be read ({error.strerror or error}).") from error
        lines += last not in (b"", b"\n")
        if lines != count:
            raise CollectionMismatchError(
                f"'{path}' has {lines:,} lines for {count:,} images; expected one line an "
                "image, in the order of the features."
            )
        self._lines = self._read()

    def _read(self) -> Iterator[str]:
        with self._path.open("rb") as file:  # captions may hold what Python takes for ends of lines
            for number, line in enumerate(file):
                encoding = "utf-8" if number else "utf-8-sig"
                yield line.rstrip(b"\r\n").decode(encoding, "replace")

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """See `Texts`."""
        if start < self._place:
            self._lines, self._place = self._read(), 0
        lines = itertools.islice(self._lines, start - self._place, stop - self._place)
        self._place = stop
        return [_line(line) for line in lines]


def _line(line: str) -> dict[str, str]:
    caption, _, link = line.rpartition("\t")
    if caption and link.lower().startswith(("http://", "https://")):
        return {"caption": caption.strip(), "link": link.strip()}
    return {"caption": line.replace("\t", " ").strip()}


class _Table:
    """A table that is joined by the images' paths; it stays in memory."""

    def __init__(self, path: Path, images: tuple[str, ...]) -> None:
        try:
            table = Table.open(path, _KEYS)
            key = next(filter(None, (find_column(name, table.names) for name in _KEYS)), None)
            ours = {name: _ALIASES.get(plain_name(name), plain_name(name)) for name in table.names}
            columns = {
                column: name
                for name, column in reversed(ours.items())
                if column in TEXT_COLUMNS and column != "id" and name != key
            }
            if key is None or not columns:
                raise CheckpointError(
                    f"'{path}' has the columns {', '.join(table.names)}; expected one of "
                    f"{', '.join(_KEYS)}, and caption, link, licence or creator."
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
                f"'{path}' names none of the images by its column '{key}' (the first is '{images[0]}')."
            )
        for name, image in zip(self._keys, images, strict=True):
            if used.get(name, image) != image:
                raise CollectionMismatchError(
                    f"'{path}' has one row '{name}' for two images, '{image}' and '{used[name]}'; write their whole "
                    "paths, a row each."
                )

    @staticmethod
    def _read(table: Table, key: str, columns: dict[str, str]) -> dict[str, tuple[str, ...]]:
        rows: dict[str, tuple[str, ...]] = {}
        for _, row in table:
            name = as_text(row.get(key))
            told = tuple(as_text(row.get(theirs), ours) for ours, theirs in columns.items())
            if rows.setdefault(name, told) != told and name:
                raise CheckpointError(
                    f"'{table.path}' has two rows for '{name}'; an image needs at most one."
                )
        rows.pop("", None)
        return rows

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """See `Texts`."""
        told = (self._rows.get(name, ()) for name in self._keys[start:stop])
        return [
            {
                name: value
                for name, value in zip(self._names, row, strict=False)
                if value and value not in _UNKNOWN
            }
            for row in told
        ]
