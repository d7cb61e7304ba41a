"""`IVF`: what it lists, what it says of the others, and its file."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.retrieval import cells
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.retrieval.rest import Rest, RestKind


def clustered(n, d, seed=0, clusters=12):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(clusters, d))
    x = 1.5 * centres[rng.integers(0, clusters, n)] + rng.normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def train():
    return clustered(6000, 24)


@pytest.fixture
def few_scanned(monkeypatch):
    monkeypatch.setattr(cells, "SCANNED", 600)


def test_nearly_all_nearest_rows_are_listed_and_the_intervals_hold(train, few_scanned):
    query = clustered(100, 24, 1)
    index, exact = TrainingIndex.build(train, "IVF"), TrainingIndex.build(train, "SQ8x2")
    hits, truth = index.search(query, 20), exact.search(query, 20)
    recall = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(hits.ids, truth.ids, strict=True)])
    assert recall > 0.97
    assert (hits.rest.total == len(train) - 20).all() and hits.rest.kind is RestKind.SAMPLED
    assert hits.rest.points.weight.sum(axis=1) == pytest.approx(len(train) - 20)
    scores = query.astype(np.float64) @ train.astype(np.float64).T
    for row, ids in zip(scores, hits.ids, strict=True):
        row[ids] = -np.inf
    for t in (0.05, 0.2):
        bound = hits.rest.log_sum_exp(t)
        other = np.logaddexp.reduce(scores / t, axis=1)
        assert (bound.certain_low <= other + 1e-4).all()
        inside = (bound.low <= other + 1e-4) & (other <= bound.high + 1e-4)
        assert inside.mean() >= 0.98  # stated: 99 %
        assert np.median(np.abs(bound.estimate - other)) < 0.1
    assert np.median(bound.high - bound.low) < 0.1, "at the higher temperature, where no rare row decides"


def test_as_many_cells_are_scanned_as_the_list_needs(few_scanned):
    def scanned_and_recall(rows, query):
        index, exact = TrainingIndex.build(rows, "IVF"), TrainingIndex.build(rows, "SQ8x2")
        hits, truth = index.search(query, 20, bins=1), exact.search(query, 20)
        recall = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(hits.ids, truth.ids, strict=True)])
        return np.mean(hits.rest.count[:, 1:] == 0), recall

    apart = clustered(8020, 32, clusters=40)
    easy, hard = (
        scanned_and_recall(rows[:8000], rows[8000:]) for rows in (apart, clustered(8020, 32, clusters=8000))
    )
    assert easy[0] < 0.3 and easy[1] > 0.99
    assert hard[0] > 0.9 and hard[1] > 0.99, "rows without clusters: nearly all cells matter"


def test_the_hits_of_one_query_are_those_of_a_search_for_it_alone(train, few_scanned):
    query, index = clustered(4, 24, 1), TrainingIndex.build(train, "IVF")
    together = index.search(query, 10)
    assert together.rest.kind is RestKind.SAMPLED
    for k in range(4):
        one, alone = together.of(k), index.search(query[k : k + 1], 10)
        assert one.ids.tolist() == alone.ids.tolist() and one.total.tolist() == [6000]
        for ours, theirs in zip(one.rest.log_sum_exp(0.1), alone.rest.log_sum_exp(0.1), strict=True):
            assert ours == pytest.approx(theirs, abs=1e-4)


def test_the_same_rest_where_every_cell_is_scanned(train):
    query = clustered(5, 24, 2)
    hits = TrainingIndex.build(train[:2000], "IVF").search(query, 10)
    truth = TrainingIndex.build(train[:2000], "SQ8x2").search(query, 10)
    assert hits.rest.kind is RestKind.EXACT
    assert hits.rest.log_sum_exp(0.1).estimate == pytest.approx(
        truth.rest.log_sum_exp(0.1).estimate, abs=1e-5
    )


def test_more_cells_are_scanned_where_many_rows_are_listed(train, few_scanned):
    hits = TrainingIndex.build(train, "IVF").search(clustered(2, 24, 3), 5900)
    assert all(len(set(ids)) == 5900 for ids in hits.ids)
    assert TrainingIndex.build(train, "IVF").nearest(clustered(2, 24, 3), 6000).ids.shape == (2, 6000)


def test_equal_rows_are_listed_in_the_order_in_which_they_were_added(few_scanned):
    rows = np.repeat(clustered(40, 8), 20, axis=0)
    hits = TrainingIndex.build(rows, "IVF").nearest(rows[[200]], 20)
    assert hits.ids[0].tolist() == list(range(200, 220))


def test_a_file_holds_the_same_index(tmp_path, train, few_scanned):
    index, query = TrainingIndex.build(train, "IVF", encoder="fake"), clustered(3, 24, 4)
    index.save(tmp_path / "a")
    opened = TrainingIndex.load(tmp_path / "a")
    assert len(opened) == 6000 and opened.dim == 24
    for a, b in zip(
        index.search(query, 7).rest.log_sum_exp(0.1),
        opened.search(query, 7).rest.log_sum_exp(0.1),
        strict=True,
    ):
        assert a == pytest.approx(b)
    opened.save(tmp_path / "b")
    TrainingIndex.build(train, "IVF", encoder="fake").save(tmp_path / "c")
    files = {(tmp_path / name / "cells.safetensors").read_bytes() for name in "abc"}
    assert len(files) == 1, "the same rows make the same file"


def _cut_short(path):
    path.write_bytes(path.read_bytes()[:-5])


def _changed(**arrays):
    def change(path):
        stored = load_file(path)
        save_file({**stored, **{name: make(stored[name]) for name, make in arrays.items()}}, path)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        _cut_short,
        lambda path: path.write_bytes(b"nonsense"),
        _changed(ids=lambda a: np.zeros_like(a)),
        _changed(ids=lambda a: a - 1),
        _changed(ids=lambda a: a.astype(np.float32)),
        _changed(start=lambda a: a[::-1].copy()),
        _changed(start=lambda a: a[:-1]),
        _changed(mean=lambda a: a[:, :-1].copy()),
        _changed(start=lambda a: np.minimum(a, a[-2])),
        _changed(radius=lambda a: a[:-1]),
        _changed(step=lambda a: a[:-1]),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path, damage):
    TrainingIndex.build(clustered(300, 6), "IVF").save(tmp_path)
    damage(tmp_path / "cells.safetensors")
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "files": {}}))
    with pytest.raises(CheckpointError, match="build it again"):
        TrainingIndex.load(tmp_path)


def test_bins_without_a_sample_count_by_their_bounds():
    exact = Rest.from_similarities(np.array([[0.1, 0.2, 0.3]]), 3)
    sampled = Rest.from_cells([[4]], [[0.5]], [[0.4, 0.6]], [0, 0])
    both = exact.beside(sampled).log_sum_exp(0.5)
    alone = sampled.log_sum_exp(0.5)
    more = np.exp(np.array([0.1, 0.2, 0.3]) / 0.5).sum()
    assert np.exp(both.estimate) == pytest.approx(np.exp(alone.estimate) + more, rel=1e-3)
    assert np.exp(both.high) == pytest.approx(np.exp(alone.high) + more, rel=1e-3)
    with pytest.raises(InvalidInputError, match="at least 2"):
        Rest.from_cells([[4]], [[0.5]], [[0.5]], [0])


def test_dividing_into_cells_is_reported_up_to_the_end(train):
    steps = []
    TrainingIndex.build_from([train[:3000], train[3000:]], "IVF", count=6000, on_progress=steps.append)
    by_stage = {
        stage: [s for s in steps if s.stage == stage] for stage in ("indexing", "dividing into cells")
    }
    assert [step.done for step in by_stage["indexing"]] == [3000, 6000]
    done = [step.done for step in by_stage["dividing into cells"]]
    assert done[0] == 0 and done == sorted(done)
    assert by_stage["dividing into cells"][-1].fraction == 1
