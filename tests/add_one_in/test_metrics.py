"""Ranking metrics against hand-worked cases and a slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.add_one_in.metrics import (
    area_under_curve,
    average_precision,
    exemplar_places,
    precision_of_places,
    recall_at_k,
    recall_ceiling,
    recall_of_places,
)
from attribution_core.errors import (
    CollectionMismatchError,
    InvalidInputError,
)
from tests.support.ranking import rank_exemplars_last


def test_hand_worked_case():
    row = np.array([True, False, True, False, False, True])
    assert average_precision(row) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    assert [recall_at_k(row, k) for k in (1, 2, 3, 5, 6, 100)] == pytest.approx(
        [1 / 3, 1 / 3, 2 / 3, 2 / 3, 1, 1]
    )


def test_single_exemplar_scores_the_inverse_of_its_place():
    for place in range(5):
        row = np.zeros(5, dtype=bool)
        row[place] = True
        assert average_precision(row) == pytest.approx(1 / (place + 1))


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
def test_against_a_slow_twin(marks):
    row = np.array(marks)
    found, total = 0, 0.0
    for position, mark in enumerate(marks, start=1):
        if mark:
            found += 1
            total += found / position
    assert average_precision(row) == pytest.approx(total / found)
    for k in (1, 5, 10):
        assert recall_at_k(row, k) == pytest.approx(sum(marks[:k]) / found)
        assert recall_at_k(row, k) <= recall_ceiling(found, k) + 1e-12


def test_recall_has_a_ceiling_below_one():
    assert recall_ceiling(20, 5) == 0.25
    assert recall_at_k(np.ones(20, dtype=bool), 5) == 0.25
    assert recall_ceiling(3, 5) == 1.0


@pytest.mark.parametrize("bad", [[1, 0], [[True]], [False, False], [], True])
def test_bad_rankings(bad):
    with pytest.raises(InvalidInputError):
        average_precision(bad)
    with pytest.raises(InvalidInputError):
        recall_at_k(bad, 5)


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "5"])
def test_bad_k(k):
    with pytest.raises(InvalidInputError, match="k is"):
        recall_at_k(np.array([True]), k)


def test_the_area_under_the_curve_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 6, 30), rng.integers(0, 5, 40)
    pairs = positive[:, None] - negative[None]
    expected = (pairs > 0).mean() + 0.5 * (pairs == 0).mean()
    assert area_under_curve(positive, negative) == pytest.approx(expected)
    assert area_under_curve([2.0, 3.0], [1.0]) == 1 and area_under_curve([1.0], [1.0]) == 0.5
    for bad in ([], [np.nan]):
        with pytest.raises(InvalidInputError):
            area_under_curve(bad, [1.0])


def rows(rng, n, d):
    values = rng.normal(size=(n, d))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def brute_force(training, query, own):
    """Exact similarities to the whole pool, in float64, all sorted."""
    pool = np.concatenate([training, own]).astype(np.float64)
    marks = np.arange(len(pool)) >= len(training)
    return rank_exemplars_last((pool * query.astype(np.float64)).sum(axis=1), marks)


def case(seed, n=300, d=16, models=5, per_model=4):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, size=models)
    ends = sizes.cumsum()
    training, exemplars = rows(rng, n, d), rows(rng, int(ends[-1]), d)
    training[5] = exemplars[0]  # a tie with an exemplar
    training[6:9] = exemplars[1]
    exemplars[-1] = exemplars[-2]  # two exemplars alike
    training[20:40, 1:] = 0  # many training images alike
    training[20:40, 0] = 1
    return (
        training,
        rows(rng, models * per_model, d),
        exemplars,
        np.stack([ends - sizes, ends], axis=1),
        np.repeat(np.arange(models), per_model),
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 301))
def test_places_agree_with_a_full_sort_ties_included(seed, block):
    training, queries, exemplars, chunks, model = case(seed)
    blocks = [training[k : k + block] for k in range(0, len(training), block)]
    places = exemplar_places(blocks, queries, exemplars, chunks, model)
    for i, found in enumerate(places):
        start, end = chunks[model[i]]
        ranked = brute_force(training, queries[i], exemplars[start:end])
        assert found.tolist() == (np.flatnonzero(ranked) + 1).tolist()
        assert precision_of_places(found) == pytest.approx(average_precision(ranked), abs=1e-9)
        for k in (1, 5, 10, 100):
            assert recall_of_places(found, k) == pytest.approx(recall_at_k(ranked, k), abs=1e-9)


def test_a_query_that_is_its_exemplar_comes_after_the_training_images_that_are_too():
    training = np.eye(4, dtype=np.float32)
    places = exemplar_places([training, training[:1]], training[:1], training[:1], [[0, 1]], [0])
    assert places[0].tolist() == [3]


def test_queries_in_many_parts_give_the_same(monkeypatch):
    training, queries, exemplars, chunks, model = case(3)
    whole = exemplar_places([training], queries, exemplars, chunks, model)
    monkeypatch.setattr("attribution_core.add_one_in.metrics._BLOCK_VALUES", 700)
    parts = exemplar_places([training], queries, exemplars, chunks, model)
    assert [p.tolist() for p in parts] == [p.tolist() for p in whole]


def test_a_nearly_equal_training_image_is_told_apart():
    # 1e-7 apart in similarity: float32 products cannot tell, float64 ones can.
    query = np.array([[1, 0, 0]], dtype=np.float32)
    exemplar = np.array([[0.6, 0.8, 0]], dtype=np.float32)
    above, below = exemplar.copy(), exemplar.copy()
    above[0, 0], below[0, 0] = (
        np.nextafter(np.float32(0.6), 1),
        np.nextafter(np.float32(0.6), 0, dtype=np.float32),
    )
    for training, place in ((above, 2), (below, 1), (exemplar, 2)):
        assert exemplar_places([training], query, exemplar, [[0, 1]], [0])[0].tolist() == [place]


@pytest.mark.parametrize(
    ("chunks", "model", "message"),
    [
        ([[0, 0]], [0], "one row or more"),
        ([[0, 9]], [0], "within the 2 exemplars"),
        ([0, 1], [0], "expected"),
        ([[0, 1]], [1], "must name one"),
        ([[0, 1]], [0, 0], "expected"),
        ([[0.5, 1]], [0], "whole numbers"),
    ],
)
def test_what_does_not_fit_is_named(chunks, model, message):
    one = np.eye(2, dtype=np.float32)
    with pytest.raises(InvalidInputError, match=message):
        exemplar_places([one], one[:1], one, chunks, model)


def test_other_dimensions_and_lengths_are_refused():
    one = np.eye(2, dtype=np.float32)
    with pytest.raises(CollectionMismatchError):
        exemplar_places([np.eye(3, dtype=np.float32)], one[:1], one, [[0, 1]], [0])
    with pytest.raises(InvalidInputError, match="length"):
        exemplar_places([one * 2], one[:1], one, [[0, 1]], [0])
