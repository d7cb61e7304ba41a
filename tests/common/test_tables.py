"""Tables as other programs write them are read, and a row that does not fit is refused by its line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution_core.common.tables import Table, find_column, plain_name
from attribution_core.errors import InvalidInputError

ROWS = [{"file": "a.png", "caption": "a cat, asleep"}, {"file": "b.png", "caption": "5'10\" tall; round"}]
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=12)


def _read(path: Path, *keys: str) -> list[dict[str, object]]:
    return [dict(row) for _, row in Table.open(path, keys or ("file",))]


def _written(rows: list[dict[str, str]], delimiter: str, newline: str = "\n") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff", "sep={}\n", "\ufeffsep={}\r\n", "\n\n"])
def test_every_usual_delimiter_is_known(tmp_path: Path, delimiter: str, start: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(start.format(delimiter) + _written(ROWS, delimiter), encoding="utf-8")
    assert _read(path) == ROWS


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", json.dumps(ROWS)),
        ("m.json", "\n".join(map(json.dumps, ROWS))),
        ("m.jsonl", "\ufeff" + "\n\n".join(map(json.dumps, ROWS))),
        ("m.NDJSON", "\n".join(map(json.dumps, ROWS))),
        ("m.tsv", _written(ROWS, "\t", "\r\n")),
        ("m.csv", _written(ROWS, ",", "\r\n") + ",\r\n ,\r\n"),
    ],
)
def test_the_same_rows_from_each_kind_of_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert _read(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("a.png,a cat, asleep,Ada\n", 2),
        ("a.png,a cat, asleep,\n", 2),
        ("a.png,cat,Ada\nb.png,Ben\n", 3),
        ('a.png,"two\nlines",Ada\nb.png,a dog\n', 4),
        ("a.png,cat,Ada\n\n\nb.png,a,b,c,d\n", 5),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_its_line(tmp_path: Path, rows: str, line: int) -> None:
    (tmp_path / "m.csv").write_text("file,caption,creator\n" + rows)
    with pytest.raises(InvalidInputError, match=f"line {line}: .*double quotes"):
        _read(tmp_path / "m.csv")


@pytest.mark.parametrize(
    "row", ['a.png,"a "big" cat",Ada', 'a.png,"a cat,Ada\nb.png,"a dog",Ben', 'a.png,"a']
)
def test_quotes_that_do_not_close_are_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "m.csv").write_text(f"file,caption,creator\n{row}\n")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        _read(tmp_path / "m.csv")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file,creator,Creator \na,Ada,Ben\n")
    with pytest.raises(InvalidInputError, match="two columns 'creator'"):
        _read(tmp_path / "m.csv")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(_TEXT, _TEXT, _TEXT), min_size=1, max_size=5),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    extra=st.integers(-2, 2),
    data=st.data(),
)
def test_what_is_written_is_read_and_another_width_is_refused(
    tmp_path: Path, rows: list[tuple[str, ...]], delimiter: str, extra: int, data: st.DataObject
) -> None:
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    place = data.draw(st.integers(0, max(len(kept) - 1, 0)))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(("file", "caption", "creator"))
    for k, row in enumerate(kept):
        cells = list(row)
        if k == place and extra:
            cells = (cells + ["x"] * extra) if extra > 0 else ["x", *cells][: 3 + extra]
        writer.writerow(cells)
    path = tmp_path / "m.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    if extra and kept:
        with pytest.raises(InvalidInputError, match="the header has 3 columns"):
            _read(path)
    else:
        assert [tuple(row.values()) for row in _read(path)] == kept


def test_sparse_rows_keep_what_they_have(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"file": "a"}\n{"caption": "b", "file": "b"}\n')
    table = Table.open(tmp_path / "m.jsonl")
    assert table.names == ("file", "caption")
    assert [dict(row) for _, row in table] == [{"file": "a"}, {"caption": "b", "file": "b"}]


def test_classes_are_called_by_their_names(tmp_path: Path) -> None:
    features = {
        "style": {"names": ["cubism", "fauvism"], "_type": "ClassLabel"},
        "tags": {"feature": {"names": ["a", "b"], "_type": "ClassLabel"}, "_type": "List"},
    }
    schema = pa.schema(
        [("style", pa.int64()), ("tags", pa.list_(pa.int64()))],
        {"huggingface": json.dumps({"info": {"features": features}})},
    )
    pq.write_table(
        pa.table({"style": [1, -1, None], "tags": [[0, 1], [], None]}, schema), tmp_path / "m.parquet"
    )
    assert _read(tmp_path / "m.parquet") == [
        {"style": "fauvism", "tags": ["a", "b"]},
        {"style": None, "tags": []},
        {"style": None, "tags": None},
    ]


def test_columns_are_known_however_they_are_written() -> None:
    assert plain_name("\ufeff File Name ") == "file_name"
    assert find_column("CREATOR", ["x", " Creator"]) == " Creator"
    assert find_column("creator", ["Creator", "creator"]) == "creator"
    assert find_column("maker", ["creator"]) is None
