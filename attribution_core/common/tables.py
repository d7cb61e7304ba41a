"""Reads third-party tables strictly: CSV with any common delimiter, JSON lines, JSON lists and Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_core.common.json_text import parse_json, read_json
from attribution_core.common.text import message_of
from attribution_core.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = frozenset({".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".json"})
_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # a first line that Excel interprets and hides
_BATCH = 4096

Row = Mapping[str, Any]


def plain_name(column: str) -> str:
    """Normalise a column name for comparison: no case, byte order mark or outer spaces; "File Name" is file_name."""
    return re.sub(r"[\s-]+", "_", column.replace("\ufeff", "").strip().casefold())


def find_column(name: str, known: Sequence[str]) -> str | None:
    """Find a column by exact name, else the first with the same normalised name; None if there is none."""
    if name in known:
        return name
    return next((column for column in known if plain_name(column) == plain_name(name)), None)


@dataclass(frozen=True)
class Table:
    """A table file; iterating reads its rows.

    names: of all columns in any row. numbered: what row numbers count: "line", "row" or "entry".
    """

    path: Path
    names: tuple[str, ...]
    numbered: str
    _kind: str
    _delimiter: str = ","

    @classmethod
    def open(cls, path: Path | str, keys: Sequence[str] = ()) -> Table:
        """Read the column names.

        keys: columns of which one is expected, used to detect the delimiter of a CSV file. Raises `InvalidInputError`
        for a file that cannot be read.
        """
        file = Path(path)
        with _ReadErrors(file):
            suffix = file.suffix.lower()
            if suffix == ".parquet":
                import pyarrow.parquet as pq

                return cls(file, tuple(pq.read_schema(file).names), "row", "parquet")
            if suffix in (".jsonl", ".ndjson"):
                return cls(file, _names(_json_lines(file)), "line", "lines")
            if suffix == ".json":
                kind, numbered = ("lines", "line") if _is_lines(file) else ("list", "entry")
                return cls(file, _names(_JSON[kind](file)), numbered, kind)
            names, delimiter = _header(file, keys)
            return cls(file, names, "line", "csv", delimiter)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        """Yield (number, row) of each non-empty row. Raises `InvalidInputError` for a malformed one."""
        with _ReadErrors(self.path):
            if self._kind == "parquet":
                yield from _parquet(self.path)
            elif self._kind == "csv":
                yield from _csv(self.path, self._delimiter, self.names)
            else:
                yield from _JSON[self._kind](self.path)


class _ReadErrors:
    """Turns readers' errors into an `InvalidInputError` of one sentence."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, ValueError, csv.Error)) and not isinstance(error, InvalidInputError):
            reason = getattr(error, "strerror", None) or message_of(error)
            raise InvalidInputError(
                f"'{self._path}' cannot be read ({reason}); give UTF-8 CSV, Parquet or JSON lines (.jsonl)."
            ) from error


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of each non-empty row of a CSV file, including the header."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        start = 0
        if _SEPARATOR.fullmatch(lines.readline().strip("\r\n")):
            start = 1
        else:
            lines.seek(0)
        reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        line = start + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = start + reader.line_num + 1


def _header(path: Path, keys: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return a CSV file's columns and delimiter: the one that gives a column in `keys`, or else the most columns."""
    with path.open(encoding="utf-8-sig") as lines:
        declared = _SEPARATOR.fullmatch(lines.readline().strip("\r\n"))
    headers = {}
    for delimiter in (declared[1],) if declared else _DELIMITERS:
        try:
            headers[delimiter] = [cell.strip() for cell in next(_records(path, delimiter), (0, []))[1]]
        except csv.Error:  # invalid quotes under this delimiter
            continue
    if not headers:
        raise ValueError("a quote in its first line is not closed")
    wanted = {plain_name(key) for key in keys}
    delimiter = max(
        headers, key=lambda d: (any(plain_name(n) in wanted for n in headers[d]), len(headers[d]))
    )
    names = headers[delimiter]
    plain = [plain_name(name) for name in names if name]
    duplicate = next((name for name in names if name and plain.count(plain_name(name)) > 1), None)
    if duplicate is not None:
        raise InvalidInputError(f"'{path}' has two columns '{duplicate}'; rename or delete one of them.")
    return tuple(names), delimiter


def _csv(path: Path, delimiter: str, names: Sequence[str]) -> Iterator[tuple[int, Row]]:
    records = _records(path, delimiter)
    next(records, None)
    for line, cells in records:
        if len(cells) != len(names):
            sign = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(delimiter, f"'{delimiter}'")
            raise InvalidInputError(
                f"'{path}', line {line}: {len(cells)} cells, but the header has {len(names)} columns "
                f"({', '.join(names)}); put text that contains {sign} or a line break in double quotes."
            )
        yield line, {name: cell for name, cell in zip(names, cells, strict=True) if name}


def _is_lines(path: Path) -> bool:
    """Whether a .json file holds one object per line."""
    try:
        read_json(path)
    except json.JSONDecodeError as error:
        return error.msg == "Extra data"
    return False


def _json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            row = parse_json(line)
            if not isinstance(row, dict):
                raise InvalidInputError(
                    f"'{path}' has no JSON object in line {number}; expected one per line."
                )
            yield number, row


def _json_list(path: Path) -> Iterator[tuple[int, Row]]:
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInputError(
            f'\'{path}\' is not a list of JSON objects; expected [{{"file": ..., "caption": ...}}, ...].'
        )
    yield from enumerate(entries, 1)


_JSON = {"lines": _json_lines, "list": _json_list}


def _names(rows: Iterator[tuple[int, Row]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, row in rows for name in row))


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as opened:
        labels = class_labels(opened.schema_arrow)
        number = 0
        for batch in opened.iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield number, with_labels(row, labels)


def class_labels(schema: pa.Schema) -> dict[str, Sequence[str]]:
    """Return the class names of each column, as Hugging Face `datasets` stores them in the schema."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {name: kind.get("feature", kind) for name, kind in features.items() if isinstance(kind, dict)}
        return {
            name: [str(label) for label in kind["names"]]
            for name, kind in kinds.items()
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and kind.get("names")
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def with_labels(row: Row, labels: Mapping[str, Sequence[str]]) -> Row:
    """Replace class numbers in a row by class names; numbers out of range become None."""

    def label(value: Any, names: Sequence[str]) -> Any:
        if isinstance(value, list):
            return [label(part, names) for part in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return names[value] if 0 <= value < len(names) else None
        return value

    return (
        {n: label(value, labels[n]) if n in labels else value for n, value in row.items()} if labels else row
    )
