"""Ranking metrics against hand-worked cases and a slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.add_one_in.metrics import (
    average_precision,
    rank_against_us,
    recall_at_k,
    recall_ceiling,
)
from attribution_core.errors import InvalidInputError


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


def test_ties_are_broken_against_us():
    ranked = rank_against_us([0.5, 0.9, 0.5, 0.5, 0.1], np.array([True, False, False, True, False]))
    assert ranked.tolist() == [False, False, True, True, False]
    flat = rank_against_us(np.zeros(10), np.arange(10) == 0)
    assert average_precision(flat) == pytest.approx(0.1)


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


def test_bad_scores_for_ranking():
    with pytest.raises(InvalidInputError, match="NaN"):
        rank_against_us([0.1, float("nan")], np.array([True, False]))
    with pytest.raises(InvalidInputError, match="shape"):
        rank_against_us([0.1, 0.2], np.array([True]))
