"""Rows as two planes of 8-bit integers: rounding, both ways to multiply, and the mapped file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file

from attribution_core.errors import CheckpointError
from attribution_core.retrieval import planes
from attribution_core.retrieval.index import TrainingIndex


def unit(n, d, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def joined(digits, step):
    return step[:, None].astype(np.float64) * sum(p / 254.0**k for k, p in enumerate(digits))


def test_a_row_split_by_hand():
    digits, step = planes.split(np.array([[127.0, -1.5, 0.25, 0.0]], np.float32), 2)
    assert step.tolist() == [1.0]
    assert digits[0].tolist() == [[127, -2, 0, 0]]
    assert digits[1].tolist() == [[0, 127, 64, 0]]  # 0.5 * 254, 0.25 * 254 = 63.5 to even


@given(arrays(np.float32, (3, 7), elements=st.floats(-1, 1, width=32)), st.integers(1, 3))
def test_each_plane_leaves_half_a_step_of_the_next(rows, count):
    digits, step = planes.split(rows, count)
    error = np.abs(joined(digits, step) - rows).max(axis=1)
    assert (error <= step / 2 / 254 ** (count - 1) * (1 + 1e-5) + 1e-38).all()


def test_rounding_is_finer_than_that_of_float16():
    rows = unit(1000, 512)
    ours = np.abs(joined(*planes.split(rows, 2)) - rows)
    halves = np.abs(rows.astype(np.float16).astype(np.float64) - rows)
    assert np.sqrt((ours**2).mean()) < np.sqrt((halves**2).mean()) / 3


@pytest.mark.parametrize(("n", "d", "q"), [(1, 3, 1), (700, 16, 4), (3000, 513, 2)])
def test_integer_and_float_products_agree(n, d, q, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(planes, "_PRODUCT_ROWS", 1024)
    index, query = TrainingIndex.build(unit(n, d), "SQ8x2"), unit(q, d, 1)
    found = []
    for fast in (True, False):
        monkeypatch.setattr(planes, "integer_products_are_fast", lambda fast=fast: fast)
        found.append(index.search(query, min(n, 20)))
    assert found[0].similarity == pytest.approx(found[1].similarity, abs=1e-6)
    assert (found[0].ids == found[1].ids).mean() > 0.99
    assert found[0].rest.log_sum_exp(0.05).high == pytest.approx(
        found[1].rest.log_sum_exp(0.05).high, abs=1e-5
    )


def test_the_same_file_from_blocks_and_reserved_memory(tmp_path):
    train = unit(50, 6)
    blocks = lambda: (train[k : k + 20] for k in (0, 20, 40))  # noqa: E731 -- an iterator is used up
    TrainingIndex.build(train, "SQ8x2").save(tmp_path / "whole")
    TrainingIndex.build_from(blocks(), "SQ8x2").save(tmp_path / "grown")
    TrainingIndex.build_from(blocks(), "SQ8x2", count=50).save(tmp_path / "reserved")
    files = {(tmp_path / name / "index.safetensors").read_bytes() for name in ("whole", "grown", "reserved")}
    assert len(files) == 1
    assert len(files.pop()) == pytest.approx(50 * (2 * 6 + 4), abs=300)


def test_an_opened_index_is_a_map_of_its_file_and_saves_what_it_holds(tmp_path):
    index = TrainingIndex.build(unit(300, 20), "SQ8x2", encoder="fake")
    index.save(tmp_path / "a")
    opened = TrainingIndex.load(tmp_path / "a")
    assert isinstance(opened._backend._planes.arrays["coarse"].base.base, np.memmap)
    opened.save(tmp_path / "b")
    assert (tmp_path / "a/index.safetensors").read_bytes() == (tmp_path / "b/index.safetensors").read_bytes()


PLANE, STEP = np.zeros((4, 3), np.int8), np.ones(4, np.float32)


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense",
        b"",
        {"coarse": PLANE, "fine": PLANE},
        {"coarse": PLANE, "fine": PLANE[:3], "step": STEP},
        {"coarse": PLANE, "fine": PLANE, "step": STEP[:3]},
        {"coarse": PLANE, "fine": PLANE, "step": STEP.astype(np.float64)},
        {"coarse": PLANE[0], "fine": PLANE[0], "step": STEP[:3]},
        "cut",
    ],
)
def test_files_that_are_something_else(tmp_path, content):
    TrainingIndex.build(unit(4, 3), "SQ8x2").save(tmp_path)
    file = tmp_path / "index.safetensors"
    if content == "cut":
        file.write_bytes(file.read_bytes()[:-5])
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        save_file(content, file)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "files": {}}))
    with pytest.raises(CheckpointError, match="build it again"):
        TrainingIndex.load(tmp_path)
