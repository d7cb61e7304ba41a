"""Captions and links of a training set by the paths of its images: a line each, or a table that is joined."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from attribution_core.corpus.corpus import TEXT_COLUMNS
from attribution_core.errors import CheckpointError, CollectionMismatchError

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = ("file", "path", "key", "id")
_ALIASES = {"text": "caption", "url": "link", "license": "licence", "author": "creator"}
"""What LAION's own tables call columns; names are read without regard to case."""
_UNKNOWN = ("?", "None")


class Texts(Protocol):
    """Captions, links and credits of images in their order."""

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """Columns of a corpus for images from `start` up to, not with, `stop`; asked for in rising order."""


def open_texts(path: Path, images: tuple[str, ...]) -> Texts:
    """Read a text file, a CSV file or a Parquet file.

    path: .txt with one line an image, in their order: its caption, or caption, tab and link; or .csv or .parquet with a
    column of paths (file, path, key or id: the path, its last part, or that without its ending) and any of a corpus's
    text columns, or LAION's (TEXT, URL, LICENSE). Images that a table does not name have no caption. Raises
    `CheckpointError`, `CollectionMismatchError` where it does not belong to these images.
    """
    if path.suffix in (".csv", ".parquet"):
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
            for line in file:
                yield line.rstrip(b"\r\n").decode("utf-8", "replace")

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
    """A table that is joined by the images' paths; it stays in pyarrow's memory."""

    def __init__(self, path: Path, images: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        table = _read_table(path)
        names = {name: _ALIASES.get(name.lower(), name.lower()) for name in table.column_names}
        keys = [name for key in _KEYS for name in table.column_names if name.lower() == key]
        columns = {
            ours: name for name, ours in reversed(names.items()) if ours in TEXT_COLUMNS and ours != "id"
        }
        if not keys or not columns:
            raise CheckpointError(
                f"'{path}' has the columns {', '.join(table.column_names)}; expected one of "
                f"{', '.join(_KEYS)}, and caption, link, licence or creator."
            )
        known = table[keys[0]].cast(pa.string()).combine_chunks()
        forms = (images, [i.rsplit("/", 1)[-1] for i in images], [PurePosixPath(i).stem for i in images])
        places = [pc.index_in(pa.array(form, pa.string()), value_set=known) for form in forms]
        self._place = min(places, key=lambda found: found.null_count)
        if self._place.null_count == len(images):
            raise CollectionMismatchError(
                f"'{path}' names none of the images by its column '{keys[0]}' (the first is '{images[0]}')."
            )
        self._columns = {
            ours: table[name].cast(pa.string()).combine_chunks() for ours, name in columns.items()
        }

    def rows(self, start: int, stop: int) -> list[dict[str, str]]:
        """See `Texts`."""
        place = self._place.slice(start, stop - start)
        told: dict[str, list[Any]] = {
            name: values.take(place).to_pylist() for name, values in self._columns.items()
        }
        return [
            {name: value for name, value in zip(told, row, strict=True) if value and value not in _UNKNOWN}
            for row in zip(*told.values(), strict=True)
        ]


def _read_table(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        # Everything as text: "000123" is a name, not a number.
        with pacsv.open_csv(path, parse_options=pacsv.ParseOptions(newlines_in_values=True)) as head:
            names = head.schema.names
        convert = pacsv.ConvertOptions(column_types={name: pa.string() for name in names})
        return pacsv.read_csv(
            path, parse_options=pacsv.ParseOptions(newlines_in_values=True), convert_options=convert
        )
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"'{path}' cannot be read as {path.suffix[1:]} ({first}).") from error
