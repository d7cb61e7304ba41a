"""Reliability of influences: by hand, on scores that are right by construction, and on scores that are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.add_one_in.reliability import reliability
from attribution_core.errors import InvalidInputError


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def drawn(shares, rng):
    """One exemplar a query, drawn with the chances that the shares claim."""
    chosen = (shares.cumsum(axis=1) > rng.random(len(shares))[:, None]).argmax(axis=1)
    return np.arange(shares.shape[1]) == chosen[:, None]


def test_worked_by_hand():
    shares = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1]])
    marks = np.array([[True, False, False], [False, True, False]])
    found = reliability(shares, marks, bins=2)
    assert found.count.tolist() == [4, 2]
    assert found.predicted == pytest.approx([0.1, 0.8])
    assert found.observed == pytest.approx([1 / 4, 1 / 2])
    # 1.6 of influence where one exemplar is, 0.4 where the other is.
    assert found.misplaced == pytest.approx((0.6 + 0.6) / 2 / 2)
    assert found.expected_error == pytest.approx((0.6 + 0.6) / 6)


def test_two_exemplars_of_a_query_share_its_one():
    found = reliability([[0.5, 0.5]], np.array([[True, True]]), bins=1)
    assert found.observed == pytest.approx([0.5]) and found.misplaced == pytest.approx(0)


def test_right_scores_are_found_right_and_sharpened_ones_are_not():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 50)) * 2
    marks = drawn(softmax(logits), rng)
    right, sharp, flat = (reliability(softmax(logits * s), marks) for s in (1.0, 3.0, 0.2))
    assert right.misplaced < 0.03 < 0.2 < min(sharp.misplaced, flat.misplaced)
    low, high = right.interval()
    inside = (low <= right.predicted) & (right.predicted <= high)
    assert inside.mean() > 0.8
    assert sharp.observed[-1] < sharp.predicted[-1] - 0.1, "too sure"


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_bounds(seed, bins):
    rng = np.random.default_rng(seed)
    shares = softmax(rng.normal(size=(5, 12)) * rng.uniform(0, 20))
    found = reliability(shares, drawn(shares, rng), bins)
    assert 0 <= found.misplaced <= 1 + 1e-9 and 0 <= found.expected_error <= 1
    assert found.count.sum() == shares.size and (found.count > 0).all()
    assert (found.predicted * found.count).sum() == pytest.approx(5)
    assert (found.observed * found.count).sum() == pytest.approx(5)
    low, high = found.interval()
    assert ((0 <= low) & (low <= found.observed + 1e-9) & (found.observed <= high + 1e-9) & (high <= 1)).all()


@pytest.mark.parametrize(
    ("shares", "marks"),
    [
        ([[0.5, 0.4]], [[True, False]]),
        ([[1.5, -0.5]], [[True, False]]),
        ([[0.5, 0.5]], [[False, False]]),
        ([[0.5, 0.5]], [[True]]),
    ],
)
def test_bad_input(shares, marks):
    with pytest.raises(InvalidInputError):
        reliability(shares, np.array(marks))
