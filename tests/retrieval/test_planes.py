"""Rows as two planes of 8-bit integers: rounding, both ways to multiply, and the mapped file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file

from attribution_core.errors import CheckpointError
from attribution_core.retrieval import kernels, planes
from attribution_core.retrieval.index import TrainingIndex


def unit(n, d, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def joined(coarse, fine, step):
    return step[:, None].astype(np.float64) * (coarse + fine / 254.0)


def test_a_row_split_by_hand():
    coarse, fine, step = planes.split(np.array([[127.0, -1.5, 0.25, 0.0]], np.float32))
    assert step.tolist() == [1.0]
    assert coarse.tolist() == [[127, -2, 0, 0]]
    assert fine.tolist() == [[0, 127, 64, 0]]  # 0.5 * 254, 0.25 * 254 = 63.5 to even


@given(arrays(np.float32, (3, 7), elements=st.floats(-1, 1, width=32)))
def test_a_value_is_off_by_half_a_fine_unit_at_most(rows):
    coarse, fine, step = planes.split(rows)
    error = np.abs(joined(coarse, fine, step) - rows).max(axis=1)
    assert (error <= step / 2 / 254 * (1 + 1e-5) + 1e-38).all()


def test_rounding_is_finer_than_that_of_float16():
    rows = unit(1000, 512)
    ours = np.abs(joined(*planes.split(rows)) - rows)
    halves = np.abs(rows.astype(np.float16).astype(np.float64) - rows)
    assert np.sqrt((ours**2).mean()) < np.sqrt((halves**2).mean()) / 3


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(("n", "d", "q"), [(1, 3, 1), (700, 16, 4), (3003, 513, 2), (20_000, 8, 3)])
def test_similarities_of_all_rows_and_of_parts_are_those_of_the_rows_in_float64(
    n, d, q, threads, monkeypatch
):
    monkeypatch.setattr(kernels.faiss, "omp_get_max_threads", lambda: threads)
    rows, queries = planes.Planes(*planes.split(unit(n, d))), unit(q, d, 1)
    exact = queries.astype(np.float64) @ joined(*rows.arrays.values()).T
    every = rows.similarities(queries, *kernels.parts_of(n))
    assert every == pytest.approx(np.clip(exact, -1, 1), abs=5e-7)
    start, stop = np.array([n // 2, 0, n - 1, n // 3]), np.array([n, n // 5, n, n // 3])
    parts = [np.arange(a, b) for a, b in zip(start, stop, strict=True)]
    assert np.array_equal(rows.similarities(queries, start, stop), every[:, np.concatenate(parts)])


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setattr(kernels.faiss, "omp_get_max_threads", lambda: 2)

    def work(piece):
        if piece == 3:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        kernels.on_all_cores(work, 5)


def test_a_histogram_by_hand():
    values = np.array([0.0, 0.1, 0.25, 0.5, 1.0], np.float32)
    count, total = kernels.histogram(values, 0.0, 0.25, 4)
    assert count.tolist() == [2, 1, 1, 1]
    assert total == pytest.approx([0.1, 0.25, 0.5, 1.0])


def test_loops_are_compiled_where_nothing_can_be_kept(monkeypatch):
    def njit(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: ("compiled", function, options["nogil"])

    monkeypatch.setattr(kernels.numba, "njit", njit)
    assert kernels.compiled(len) == ("compiled", len, True)


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
