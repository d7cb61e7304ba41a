"""Shares that sum to 1 with certified intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest, RestKind
from attribution_core.scoring.shares import shares_at
from tests.support.similarities import SLACK, ranked, released, softmax


@settings(deadline=None)
@given(st.integers(2, 300), st.integers(1, 3), st.integers(1, 64), st.floats(1e-3, 50), st.integers(0, 999))
def test_shares_sum_to_one_and_enclose_the_full_softmax(n, q, bins, t, seed):
    values = ranked(n, q, seed)
    top = 1 + seed % n
    shares = shares_at(values[:, :top], Rest.from_similarities(values[:, top:], bins), t)
    truth = softmax(values, t)
    assert shares.influence.sum(axis=1) + shares.rest == pytest.approx(1.0, abs=1e-12)
    assert shares.uncalibrated.sum(axis=1) + shares.rest_uncalibrated == pytest.approx(1.0, abs=1e-12)
    assert (shares.low <= truth[:, :top] + SLACK).all() and (truth[:, :top] <= shares.high + SLACK).all()
    assert (shares.low <= shares.influence + SLACK).all() and (shares.influence <= shares.high + SLACK).all()
    others = truth[:, top:].sum(axis=1)
    assert (shares.rest_low <= others + SLACK).all() and (others <= shares.rest_high + SLACK).all()
    assert ((shares.influence >= 0) & (shares.high <= 1 + SLACK)).all()
    assert (np.diff(shares.influence, axis=1) <= 0).all()


def test_a_full_scan_is_the_full_softmax():
    values = ranked(10_000, 2)
    shares = shares_at(values[:, :100], Rest.from_similarities(values[:, 100:]), 0.02)
    truth = softmax(values, 0.02)
    assert shares.influence == pytest.approx(truth[:, :100], rel=1e-5)
    assert (shares.high - shares.low <= 1e-4 * shares.influence).all()
    assert shares.uncalibrated == pytest.approx(softmax(values, 1.0)[:, :100], rel=1e-6)
    assert shares.kind is RestKind.EXACT


def test_top_and_mean_form_is_the_papers_and_overstates_the_listed():
    values, top, t = ranked(5000), 500, 0.05
    mean = values[:, top:].astype(np.float64).mean()
    shares = shares_at(values[:, :top], Rest.from_mean(4500, mean, high=values[0, top]), t)
    weight = np.exp(values[0, :top].astype(np.float64) / t)
    expected = weight / (weight.sum() + 4500 * np.exp(mean / t))
    assert shares.influence[0] == pytest.approx(expected, rel=1e-12)
    truth = softmax(values, t)[0, :top]
    assert (shares.influence[0] > truth).all() and (shares.low[0] <= truth).all()


@pytest.mark.parametrize("bias", [-300.0, -5.0, -0.5, 0.0, 2.0])
@pytest.mark.parametrize("t", [0.01, 0.1])
def test_released_form_matches_its_formula(bias, t):
    values = ranked(3000, 2).astype(np.float64)
    shares = shares_at(values[:, :50], Rest.from_similarities(values[:, 50:].astype(np.float32)), t, bias)
    truth = released(values, t, bias)
    assert shares.influence == pytest.approx(truth[:, :50], rel=1e-3, abs=1e-9)
    assert shares.influence.sum(axis=1) + shares.rest == pytest.approx(1.0, abs=1e-12)
    assert (shares.low <= truth[:, :50] + 1e-7).all() and (truth[:, :50] <= shares.high + 1e-7).all()


def test_released_form_without_bias_is_the_softmax_and_a_negative_bias_ends_the_list():
    values = ranked(500)
    rest = Rest.from_similarities(values[:, 50:])
    plain, zero = (shares_at(values[:, :50], rest, 0.02, bias) for bias in (None, 0.0))
    assert plain.influence == pytest.approx(zero.influence, rel=1e-6)
    cut = shares_at(values[:, :50], rest, 0.005, -500.0).influence[0]
    first_zero = int(np.argmax(cut == 0))
    assert first_zero > 0 and (cut[first_zero:] == 0).all()


@pytest.mark.parametrize("bias", [-1000.0, -2000.0, np.nan, np.inf])
def test_a_bias_that_leaves_nothing_is_refused(bias):
    with pytest.raises(InvalidInputError, match="bias"):
        shares_at(ranked(10), Rest.from_mean(1, 0.0), 0.1, bias)


def test_low_temperatures_stay_finite():
    for t in (1e-7, 1e-3, 1e4):
        shares = shares_at(ranked(200)[:, :20], Rest.from_mean(180, 0.0), t)
        assert np.isfinite([shares.influence, shares.low, shares.high]).all()


@pytest.mark.parametrize(
    ("ids", "similarity", "queries", "words"),
    [
        ([[0, 1]], [[0.5]], 1, "do not match"),
        ([[0.0, 1.0]], [[0.5, 0.4]], 1, "do not match"),
        ([[0, 1]], [[0.5, 0.4]], 2, "do not match"),
        ([[0, 1]], [[0.4, 0.5]], 1, "descending"),
        ([[0, 1]], [[0.5, np.nan]], 1, "NaN"),
        ([[0, -1]], [[0.5, 0.4]], 1, "negative"),
        (np.zeros((1, 0), dtype=int), np.zeros((1, 0)), 1, "no image"),
        ([0, 1], [0.5, 0.4], 1, "two dimensions"),
    ],
)
def test_bad_hits(ids, similarity, queries, words):
    with pytest.raises(InvalidInputError, match=words):
        Hits(np.array(ids), similarity, Rest.from_mean(1, [0.0] * queries))


def test_bad_scores():
    rest = Rest.from_mean(1, 0.0)
    for bad in ([[np.nan]], [[0.1], [0.2]], np.zeros((1, 0)), [0.1]):
        with pytest.raises(InvalidInputError):
            shares_at(bad, rest, 0.1)
    for t in (0, -1, np.nan):
        with pytest.raises(InvalidInputError, match="temperature"):
            shares_at([[0.1]], rest, t)


def test_the_points_of_an_exact_rest_are_its_bins():
    rest = Rest.from_similarities(ranked(500, 2), 16)
    assert np.array_equal(rest.points.value, rest.mean) and np.array_equal(rest.points.weight, rest.count)
