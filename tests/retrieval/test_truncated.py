"""The rest of a search that hands out only the nearest rows, against the sum over all."""

from __future__ import annotations

import numpy as np
import pytest

from attribution_core.retrieval.rest import Rest, RestKind
from attribution_core.retrieval.truncated import rest_of_truncated_search


def case(seed: int, n: int, depth: int, m: int, queries: int = 3, spread: float = 0.08, clump: float = 0.0):
    """Similarities (q, n), and what a truncated search tells of them. clump: the part of rows that is closer."""
    rng = np.random.default_rng(seed)
    every = rng.normal(0.1, spread, (queries, n)) + (rng.random((queries, n)) < clump) * 0.3
    every = np.clip(every, -1, 1).astype(np.float32)
    drawn = rng.permutation(n)[:m]
    order = np.argsort(-every, axis=1, kind="stable")
    nearest = np.take_along_axis(every, order[:, :depth], axis=1)
    mean = np.take_along_axis(every, order[:, depth:], axis=1).mean(axis=1, dtype=np.float64)
    unseen = np.array([~np.isin(drawn, row[:depth]) for row in order]).reshape(queries, m)
    return np.sort(every, axis=1)[:, ::-1].astype(np.float64), (nearest, mean, every[:, drawn], unseen)


def rest_of(parts, top, others, bins=64):
    nearest, mean, sample, unseen = parts
    return rest_of_truncated_search(nearest, top, others, mean, sample, unseen, bins)


@pytest.mark.parametrize("temperature", [0.02, 0.05, 0.2, 1.0])
@pytest.mark.parametrize(("clump", "spread"), [(0.0, 0.08), (0.02, 0.05), (0.3, 0.02)])
def test_the_interval_holds_the_full_sum_in_99_of_100(temperature, clump, spread):
    inside, width = [], []
    for seed in range(150):
        every, parts = case(seed, 3000, 300, 500, spread=spread, clump=clump)
        low, estimate, high = rest_of(parts, 20, 2700).log_sum_exp(temperature)
        truth = np.logaddexp.reduce(every[:, 20:] / temperature, axis=1)
        inside += list((low <= truth) & (truth <= high))
        width += list(high - low)
        assert (low <= estimate).all() and (estimate <= high).all()
    assert np.mean(inside) > 0.98  # of 450
    assert np.median(width) < 0.5


@pytest.mark.parametrize("temperature", [0.02, 0.1])
def test_what_is_certain_is_certain(temperature):
    for seed in range(60):
        every, parts = case(seed, 1000, 100, 200)
        rest = rest_of(parts, 10, 900)
        truth = np.logaddexp.reduce(every[:, 10:] / temperature, axis=1)
        assert (rest.log_sum_exp(temperature).certain_low <= truth + 1e-6).all()
        bounds = Rest(rest.count, rest.mean, rest.low, rest.high).log_sum_exp(temperature)
        assert (bounds.low <= truth + 1e-6).all() and (truth <= bounds.high + 1e-6).all()


def test_every_image_is_counted_and_every_mean_is_right():
    every, parts = case(1, 2000, 150, 300)
    rest = rest_of(parts, 30, 1850, bins=7)
    assert rest.kind is RestKind.SAMPLED and rest.count.shape == (3, 8)
    assert rest.total.tolist() == [1970] * 3
    assert (rest.count * rest.mean).sum(axis=1) == pytest.approx(every[:, 30:].sum(axis=1), abs=1e-3)
    # What was handed out is its own sample, whole.
    own = rest.sample[:, rest.sample_bin < 7]
    assert own == pytest.approx(every[:, 30:150], abs=1e-6)
    assert rest.points.weight.sum(axis=1) == pytest.approx(1970)
    assert (rest.points.weight[:, rest.sample_bin < 7] == 1).all()


def test_as_many_sample_rows_are_taken_for_every_query():
    _, parts = case(2, 2000, 500, 400)
    least = parts[3].sum(axis=1).min()
    assert len(set(parts[3].sum(axis=1))) > 1
    rest = rest_of(parts, 500, 1500)
    assert rest.sample.shape == (3, least) and (rest.sample_bin == 0).all()
    for row in range(3):
        assert rest.sample[row] == pytest.approx(parts[2][row][parts[3][row]][:least])


@pytest.mark.parametrize("others", [1, 5, 40])
def test_a_few_that_are_left_are_bounded_for_certain(others):
    every, parts = case(3, 1000, 1000 - others, 300)
    rest = rest_of(parts, 50, others)
    assert rest.kind is RestKind.EXACT
    for t in (0.02, 0.2):
        truth = np.logaddexp.reduce(every[:, 50:] / t, axis=1)
        low, _, high = rest.log_sum_exp(t)
        assert (low <= truth + 1e-5).all() and (truth <= high + 1e-5).all() and (high - low).max() < 0.05


def test_all_that_is_listed_leaves_one_bin_and_no_query_none():
    every, parts = case(4, 500, 50, 0)
    rest = rest_of(parts, 50, 450)
    assert rest.kind is RestKind.EXACT and rest.count.tolist() == [[450]] * 3
    assert (rest.high >= every[:, 50:51]).all() and rest.mean[:, 0] == pytest.approx(
        every[:, 50:].mean(axis=1)
    )
    _, none = case(5, 500, 50, 20, queries=0)
    assert len(rest_of(none, 10, 450)) == 0


def test_a_mean_off_by_rounding_stays_in_its_range():
    nearest = np.full((1, 5), 0.25, dtype=np.float32)
    rest = rest_of_truncated_search(
        nearest, 2, 100, np.array([0.2500004]), np.zeros((1, 0), np.float32), np.zeros((1, 0), bool)
    )
    assert rest.mean[0, -1] <= rest.high[0, -1]
