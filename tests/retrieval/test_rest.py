"""Bounds of what is not listed, against the full sum, at many temperatures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attribution_core.common.arrays import log_sum
from attribution_core.errors import AttributionError, InvalidInputError
from attribution_core.retrieval.rest import Rest, RestKind

TEMPERATURES = (1e-4, 0.003, 0.02, 0.1, 1.0, 30.0)
ROUNDING = 1e-9


def full(similarities, t):
    return np.logaddexp.reduce(np.atleast_2d(similarities).astype(np.float64) / t, axis=1)


def cosines(shape, seed=0, spread=0.12):
    return np.clip(np.random.default_rng(seed).normal(0.1, spread, shape), -1, 1).astype(np.float32)


rows = arrays(np.float32, st.integers(1, 60), elements=st.floats(-1, 1, width=32))
temperatures = st.floats(1e-3, 100)


@settings(deadline=None)
@given(rows, st.integers(1, 50), temperatures)
def test_bins_enclose_the_full_sum(similarities, bins, t):
    low, estimate, high = Rest.from_similarities(similarities, bins).log_sum_exp(t)
    truth = full(similarities, t)
    slack = ROUNDING * (1 + np.abs(truth))
    assert (low <= truth + slack).all() and (truth <= high + slack).all()
    assert (low <= estimate).all() and (estimate <= high).all()


@settings(deadline=None)
@given(rows, temperatures)
def test_one_mean_is_jensens_bound_and_encloses(similarities, t):
    values = similarities.astype(np.float64)
    result = Rest.from_mean(values.size, values.mean()).log_sum_exp(t)
    assert result.estimate[0] == pytest.approx(np.log(values.size) + values.mean() / t, rel=1e-12, abs=1e-9)
    truth = full(values, t)
    assert result.low[0] <= truth[0] + ROUNDING * (1 + abs(truth[0]))
    assert truth[0] <= result.high[0] + ROUNDING * (1 + abs(truth[0]))


@pytest.mark.parametrize("t", TEMPERATURES)
def test_more_bins_never_loosen_and_4096_are_narrow(t):
    values = cosines((3, 20_000))
    truth, last = full(values, t), np.inf
    for bins in (1, 8, 64, 512, 4096):
        low, _, high = Rest.from_similarities(values, bins).log_sum_exp(t)
        assert (low <= truth + ROUNDING * np.abs(truth)).all()
        assert (truth <= high + ROUNDING * np.abs(truth)).all()
        gap = (high - low).max()
        assert gap <= last + 1e-12
        last = gap
    if t >= 0.02:
        assert last < 1e-4


def test_a_tighter_top_tightens_the_mean_form():
    wide = Rest.from_mean(1000, 0.1).log_sum_exp(0.05)
    tight = Rest.from_mean(1000, 0.1, high=0.4).log_sum_exp(0.05)
    assert tight.high[0] < wide.high[0] and tight.low[0] == wide.low[0]


def test_hand_worked_bounds():
    # Two images at 0 and 1, known by their mean 0.5 alone: Jensen 2 exp(.5), chord exp(0) + exp(1).
    low, estimate, high = Rest.from_mean(2, 0.5, low=0.0).log_sum_exp(1.0)
    assert np.exp(low[0]) == pytest.approx(2 * np.exp(0.5))
    assert estimate[0] == low[0]
    assert np.exp(high[0]) == pytest.approx(1 + np.e)


def test_bins_account_for_every_image_and_its_similarity():
    values = cosines((2, 5000))
    rest = Rest.from_similarities(values, 100)
    assert rest.total.tolist() == [5000, 5000]
    assert (rest.count * rest.mean).sum(axis=1) == pytest.approx(values.astype(float).sum(axis=1))
    expected = np.histogram(values[0], bins=100)[0]
    assert np.abs(rest.count[0] - expected).sum() <= 4


@pytest.mark.parametrize("t", [1e-6, 1e-3, 1e3])
def test_no_temperature_overflows(t):
    for part in Rest.from_similarities(cosines((2, 100)), 16).log_sum_exp(t):
        assert np.isfinite(part).all()
    for part in Rest.from_mean(10, -0.9).log_sum_exp(t):
        assert np.isfinite(part).all()


def test_equal_similarities_and_a_single_one_are_exact():
    for values in (np.full((1, 9), 0.3), np.array([[0.3]])):
        low, _, high = Rest.from_similarities(values, 7).log_sum_exp(0.01)
        assert low == pytest.approx(full(values.astype(np.float32), 0.01), rel=1e-12)
        assert high == pytest.approx(low, rel=1e-9)


def test_nothing_unlisted_weighs_nothing():
    rest = Rest.from_similarities(np.zeros((2, 0)), 5)
    assert rest.total.tolist() == [0, 0]
    for part in rest.log_sum_exp(0.1):
        assert np.isneginf(part).all()
    assert np.isneginf(Rest.from_mean(0, 0.0).log_sum_exp(1.0).high).all()
    assert len(Rest.from_similarities(np.zeros((0, 4)), 3)) == 0


@settings(deadline=None)
@given(rows, st.integers(1, 30), temperatures, st.floats(-900, 900))
def test_released_form_is_convex_and_enclosed(similarities, bins, t, bias):
    peak = float(similarities.max())

    def weight(s):
        return np.maximum(np.exp((s - peak) / t) + bias * 0.001, 0.0)

    truth = weight(similarities.astype(np.float64)).sum()
    low, _, high = Rest.from_similarities(similarities, bins).log_sum_convex(weight)
    assert np.exp(low[0]) <= truth * (1 + 1e-6) + 1e-9
    assert truth <= np.exp(high[0]) * (1 + 1e-6) + 1e-9


def cells(seed, per_cell=30, n=6000, c=40, queries=1):
    rng = np.random.default_rng(seed)
    owner = np.sort(rng.integers(0, c, n))
    centre = rng.normal(0.1, 0.08, (queries, c))
    values = np.clip(centre[:, owner] + rng.normal(0, 0.08, (queries, n)), -1, 1)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(owner == cell))[:per_cell] for cell in range(c)])
    count = np.tile(np.bincount(owner, minlength=c), (queries, 1))
    mean = np.stack([np.bincount(owner, weights=row, minlength=c) for row in values]) / np.maximum(count, 1)
    return values, Rest.from_cells(count, mean, values[:, chosen], owner[chosen])


@pytest.mark.parametrize("t", [0.03, 0.05, 0.1, 1.0])
def test_sampled_interval_covers_as_often_as_it_says(t):
    certain, covered, trials = 0, 0, 300
    for seed in range(trials):
        values, rest = cells(seed)
        truth, result = full(values, t)[0], rest.log_sum_exp(t)
        assert result.kind is RestKind.SAMPLED
        certain += result.certain_low[0] <= truth + ROUNDING
        covered += result.low[0] <= truth <= result.high[0]
        assert result.certain_low[0] <= result.low[0] <= result.estimate[0] <= result.high[0]
    assert certain == trials
    assert covered >= 0.975 * trials


def test_sample_estimate_is_close_and_far_better_than_the_certain_bound():
    values, rest = cells(1, per_cell=60, queries=3)
    truth, result = full(values, 0.05), rest.log_sum_exp(0.05)
    assert np.abs(result.estimate - truth).max() < 0.1
    assert (truth - result.certain_low > 2 * np.abs(result.estimate - truth)).all()


def test_a_sample_of_everything_leaves_no_doubt():
    values, rest = cells(2, per_cell=10_000, n=300, c=5)
    result = rest.log_sum_exp(0.05)
    assert result.estimate == pytest.approx(full(values, 0.05), rel=1e-9)
    assert result.high - result.low == pytest.approx(0.0, abs=1e-9)


def test_visited_cells_weigh_nothing():
    values = np.array([[0.9, 0.8, 0.1, 0.0]])
    rest = Rest.from_cells([[0, 2]], [[0.85, 0.05]], values, [0, 0, 1, 1])
    assert rest.log_sum_exp(0.1).estimate == pytest.approx(full(values[:, 2:], 0.1))


def test_convex_sums_of_a_sample_agree_with_log_sum_exp():
    _, rest = cells(3, queries=2)
    plain = rest.log_sum_exp(0.1)
    other = rest.log_sum_convex(lambda s: np.exp(s / 0.1))
    for a, b in zip(plain, other, strict=True):
        assert a == pytest.approx(b, rel=1e-9)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 20))
def test_take_chooses_queries(queries, bins):
    rest = Rest.from_similarities(cosines((queries, 50)), bins)
    for i in range(queries):
        assert rest.take(i).log_sum_exp(0.1).high[0] == rest.log_sum_exp(0.1).high[i]
    assert len(rest.take(slice(1, None))) == queries - 1


def test_take_keeps_the_sample():
    _, rest = cells(4, queries=3)
    assert rest.take([2]).log_sum_exp(0.1).estimate[0] == rest.log_sum_exp(0.1).estimate[2]


def test_log_sum_of_nothing_is_minus_infinity():
    assert np.isneginf(log_sum(np.full((1, 3), -np.inf))).all()
    assert np.isneginf(log_sum(np.zeros((2, 0)))).all()
    assert log_sum(np.array([[1000.0, 1000.0]]))[0] == pytest.approx(1000 + np.log(2))


def two(value):
    return np.full((1, 2), value)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((two(-1), two(0.0), two(-1.0), two(1.0)), "count holds"),
        ((two(1.5), two(0.0), two(-1.0), two(1.0)), "count holds"),
        ((two(1), two(np.nan), two(-1.0), two(1.0)), "mean holds NaN"),
        ((two(1), np.zeros((1, 3)), two(-1.0), two(1.0)), "mean has shape"),
        ((two(1), two(0.5), two(-1.0), two(0.4)), "outside its range"),
        ((two(1), two(-0.5), two(-0.4), two(0.4)), "outside its range"),
        ((np.ones(2), two(0.0), two(-1.0), two(1.0)), "two dimensions"),
        ((two("a"), two(0.0), two(-1.0), two(1.0)), "real numbers"),
    ],
)
def test_bad_bins(parts, words):
    with pytest.raises(InvalidInputError, match=words):
        Rest(*parts)


@pytest.mark.parametrize(
    ("sample", "cell", "words"),
    [
        ([[0.1]], [0], "at least 2"),
        ([[0.1, 0.2]], [0, 5], "outside 0..0"),
        ([[0.1, 0.2]], [0.0, 0.0], "sample_bin"),
        ([[0.1, 0.2, 0.3]], [0, 0], "sample_bin"),
        ([[0.1, np.nan]], [0, 0], "NaN"),
        ([[0.1] * 11], [0] * 11, "more sample images"),
    ],
)
def test_bad_samples(sample, cell, words):
    with pytest.raises(InvalidInputError, match=words):
        Rest.from_cells([[10]], [[0.1]], sample, cell)


def test_kind_and_sample_belong_together():
    with pytest.raises(InvalidInputError, match="needs both"):
        Rest(two(1), two(0.0), two(0.0), two(0.0), kind=RestKind.SAMPLED)
    with pytest.raises(InvalidInputError, match="takes no sample"):
        Rest(two(1), two(0.0), two(0.0), two(0.0), sample=two(0.0), sample_bin=np.array([0, 1]))


@pytest.mark.parametrize("t", [0.0, -1.0, np.nan, np.inf, "warm", None])
def test_bad_temperatures(t):
    with pytest.raises(AttributionError, match="temperature"):
        Rest.from_mean(1, 0.0).log_sum_exp(t)


@pytest.mark.parametrize("bins", [0, -3, 1.5, True])
def test_bad_numbers_of_bins(bins):
    with pytest.raises(InvalidInputError, match="bins"):
        Rest.from_similarities([0.1], bins)


def test_bad_similarities():
    for bad in ([[np.inf]], [[["a"]]], np.zeros((1, 2, 3)), 0.5):
        with pytest.raises(InvalidInputError):
            Rest.from_similarities(bad)
    with pytest.raises(InvalidInputError, match="does not match"):
        Rest.from_mean([1, 2, 3], [0.1, 0.2])
    with pytest.raises(InvalidInputError, match="one value"):
        Rest.from_mean(1, [[0.1]])
