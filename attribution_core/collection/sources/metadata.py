"""Creators, licences, links and captions from a table beside the images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution_core.collection.sources.item import Columns, SourceItem, take
from attribution_core.errors import InvalidInputError

KEYS = ("file", "file_name", "id", "key")
"""Columns that may name the image, in the order in which they are looked for."""


@dataclass(frozen=True)
class Metadata:
    """Rows by the image that they name; in memory, some hundred bytes each."""

    rows: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path | str, columns: Columns | None = None, key: str | None = None) -> Metadata:
        """Read a CSV (UTF-8, with a header), Parquet or JSON-lines file.

        columns: which of its columns fills which. key: the one that names the image; default: the first of `KEYS`.
        Raises `InvalidInputError` for what is none of these, has no such column, or two rows for one image.
        """
        file, wanted = Path(path), columns or Columns()
        found: dict[str, Mapping[str, str]] = {}
        names: list[str] = []
        used: dict[str, str] = {}
        for row in _rows(file):
            if list(row) != names:
                names = list(row)
                column = key or next((k for k in KEYS if k in names), "file")
                if column not in names:
                    raise InvalidInputError(
                        f"'{path}' has no column '{column}' that names the images, but "
                        f"{', '.join(names)}; name the right one with --key."
                    )
                used = wanted.of(names, f"'{path}'")
            name = "" if row[column] is None else str(row[column]).strip()
            if name in found:
                raise InvalidInputError(f"'{path}' has two rows for '{name}'; an image needs at most one.")
            found[name] = take(row, used)
        if not names:
            raise InvalidInputError(
                f"'{path}' has no rows; its first should read like: file,caption,creator,licence,link."
            )
        found.pop("", None)
        return cls(found)

    def of(self, item: SourceItem) -> str | None:
        """Which row names the image: by its id, else by another of its names; None where there is none."""
        return next((name for name in (item.id, *item.names) if name in self.rows), None)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    kinds = {".parquet": _parquet, ".jsonl": _lines, ".ndjson": _lines}
    try:
        yield from kinds.get(path.suffix.lower(), _csv)(path)
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"'{path}' cannot be read ({error}); give UTF-8 CSV, Parquet or JSON lines (.jsonl)."
        ) from error


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            yield {k: v for k, v in row.items() if k is not None}


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            row = json.loads(line)
            if not isinstance(row, dict):
                raise InvalidInputError(
                    f"'{path}' holds no JSON object in line {number}; expected one a line."
                )
            yield row


def _parquet(path: Path) -> Iterable[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=4096):
        yield from batch.to_pylist()
