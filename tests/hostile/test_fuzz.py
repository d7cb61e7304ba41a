"""Readers given good files with bytes changed, cut out, doubled or put in: they read, or refuse in a sentence.

A minute in all. Longer by hand: `FUZZ_EXAMPLES=100000 python -m pytest tests/hostile/test_fuzz.py`, which looks at
other examples every time, and shows the smallest that fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution_core.add_one_in.cases import read_manifest
from attribution_core.collection.sources.open import open_source
from attribution_core.common.images import read_image, read_recipe
from attribution_core.common.tables import Table
from attribution_core.common.tensors import read_tensors
from attribution_core.errors import AttributionError
from attribution_core.release.archives import unpack
from tests.support.archives import tar
from tests.support.fakes import shape_image
from tests.support.images import encoded
from tests.support.sources import parquet, sample, shard

GIVEN = os.environ.get("FUZZ_EXAMPLES")
ROWS = [{"id": "a", "caption": "a cat, red", "creator": "Ada"}, {"id": "b", "caption": "b", "creator": ""}]
place = st.floats(0, 1, exclude_max=True)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("set"), place, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("put in"), place, st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("cut out"), place, st.integers(1, 200)),
        st.tuples(st.just("double"), place, st.integers(1, 200)),
        st.tuples(st.just("end"), place, st.just(0)),
    ),
    min_size=1,
    max_size=8,
)


def changed(data: bytes, steps: list[tuple[str, float, bytes | int]]) -> bytes:
    for kind, where, what in steps:
        at = int(where * len(data))
        if isinstance(what, bytes):
            data = data[:at] + what + data[at + (len(what) if kind == "set" else 0) :]
        elif kind == "cut out":
            data = data[:at] + data[at + what :]
        elif kind == "double":
            data = data[: at + what] + data[at:]
        else:
            data = data[:at]
    return data


def _image(path: Path) -> None:
    for read in (read_image, read_recipe):
        try:
            read(path)
        except AttributionError as error:
            assert "\n" not in str(error)


def _source(path: Path) -> None:
    for item in open_source(path).items(lambda _: True):
        assert item.data is not None or item.problem


def _good(kind: str, folder: Path) -> tuple[Callable[[Path], object], Path]:
    """What reads files of a kind, and a good one."""
    file = folder / f"good.{kind.split()[0]}"
    if kind in ("png", "jpeg", "webp", "gif", "tiff", "bmp"):
        file.write_bytes(encoded(shape_image(1), kind.upper()))
        return _image, file
    if kind == "csv":
        file.write_text("id,caption,creator\n" + "".join(f'{r["id"]},"{r["caption"]}",Ada\n' for r in ROWS))
        return lambda path: list(Table.open(path)), file
    if kind in ("json", "jsonl"):
        file.write_text(json.dumps(ROWS) if kind == "json" else "\n".join(map(json.dumps, ROWS)))
        return lambda path: list(Table.open(path)), file
    if kind == "parquet table":
        pq.write_table(pa.Table.from_pylist(ROWS), file)
        return lambda path: list(Table.open(path)), file
    if kind == "parquet source":
        return _source, parquet(file, range(3), caption=["a", "b", "c"])
    if kind == "tar source":
        return _source, shard(file, [*sample(1), *sample(2)])
    if kind == "json manifest":
        entry = {"class_id": "c", "category": "cat", "exemplar": ["x/1.png"], "synth": {"p": ["m/1.png"]}}
        file.write_text(json.dumps([entry]))
        return read_manifest, file
    if kind == "pth tensors":
        torch.save({"weights": torch.zeros(3, 4), "names": ["a", "b"]}, file)
        return read_tensors, file
    tar(file, {"feats/a.txt": b"text" * 50, "feats/b.txt": b"more"}, "w:gz")
    return lambda path: unpack(path, folder / "out"), file


@pytest.mark.parametrize(
    "kind",
    [
        *("png", "jpeg", "webp", "gif", "tiff", "bmp", "csv", "json", "jsonl"),
        *("parquet table", "parquet source", "tar source", "json manifest", "pth tensors", "gz archive"),
    ],
)
def test_a_reader_reads_or_refuses(kind: str, tmp_path: Path) -> None:
    read, file = _good(kind, tmp_path)
    data, bad = file.read_bytes(), tmp_path / f"bad{file.suffix}"
    assert read(file) is None or read(file)

    @settings(
        max_examples=int(GIVEN or 800),
        derandomize=not GIVEN,
        database=None,
        deadline=8000,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(changes)
    def look(steps: list[tuple[str, float, bytes | int]]) -> None:
        bad.write_bytes(changed(data, steps))
        try:
            read(bad)
        except AttributionError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000

    look()


def test_the_changes_change_what_they_say() -> None:
    assert changed(b"abcdef", [("set", 0.0, b"X")]) == b"Xbcdef"
    assert changed(b"abcdef", [("put in", 0.5, b"X")]) == b"abcXdef"
    assert changed(b"abcdef", [("cut out", 0.5, 2)]) == b"abcf"
    assert changed(b"abcdef", [("double", 0.5, 2)]) == b"abcdedef"
    assert changed(b"abcdef", [("end", 0.5, 0)]) == b"abc"
