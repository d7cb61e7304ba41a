"""The fitted temperature against brute force and hand-worked cases, and the influences it gives."""

import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from attribution_core.errors import (
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
    NotFittedError,
)
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.calibrator import Calibrator


def objective(similarity, marks, temperature):
    scaled = similarity.astype(np.float64) / temperature
    logs = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
    return np.array([-row[mark].mean() for row, mark in zip(logs, marks, strict=True)])


def queries(q=40, n=300, seed=0, lead=0.15, exemplars=1):
    rng = np.random.default_rng(seed)
    similarity = rng.normal(0.2, 0.1, (q, n))
    similarity[:, :exemplars] += lead
    marks = np.zeros((q, n), dtype=bool)
    marks[:, :exemplars] = True
    return np.clip(similarity, -1, 1).astype(np.float32), marks


def test_hand_worked_case():
    # The exemplar is at 0 in one query and at 1 in two, with one other candidate at 1 and 0: the best
    # softmax gives the higher one 2/3, so exp(1/t) = 2.
    similarity = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    marks = np.array([[True, False]] * 3)
    fitted = Calibrator().fit(similarity, marks)
    assert fitted.temperature_ == pytest.approx(1 / np.log(2), rel=1e-9)
    assert fitted.nll(similarity, marks).mean() == pytest.approx(-(2 * np.log(2 / 3) + np.log(1 / 3)) / 3)


def test_hand_worked_set_of_two_exemplars():
    # Both exemplars and one other: slope zero where the softmax mean equals (1 + 0) / 2 = 0.5.
    similarity, marks = np.array([[1.0, 0.0, 0.2]]), np.array([[True, True, False]])
    beta = 1 / Calibrator().fit(similarity, marks).temperature_
    mean = (np.exp(beta) + 0.2 * np.exp(0.2 * beta)) / (np.exp(beta) + np.exp(0.2 * beta) + 1)
    assert mean == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("exemplars", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_against_brute_force(seed, exemplars):
    similarity, marks = queries(seed=seed, exemplars=exemplars)
    fitted = Calibrator().fit(similarity, marks).temperature_
    peer = minimize_scalar(
        lambda beta: objective(similarity, marks, 1 / beta).mean(), bounds=(0.1, 500), method="bounded",
        options={"xatol": 1e-8},
    )  # fmt: skip
    assert fitted == pytest.approx(1 / peer.x, rel=1e-5)
    grid = np.geomspace(1e-3, 10, 400)
    best = objective(similarity, marks, fitted).mean()
    assert best <= min(objective(similarity, marks, t).mean() for t in grid) + 1e-12


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(2, 12))
def test_no_neighbouring_temperature_is_better(seed, q, n):
    similarity, marks = queries(q, n, seed, lead=0.1)
    try:
        fitted = Calibrator().fit(similarity, marks)
    except NotFittedError:
        assume(False)
    t = fitted.temperature_
    best = fitted.nll(similarity, marks).mean()
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert best <= fitted.nll(similarity, marks, temperature=t * factor).mean() + 1e-10


def test_a_binned_rest_gives_the_temperature_of_the_full_sum():
    similarity, marks = queries(n=2000)
    order = np.argsort(~marks * 2.0 - similarity, axis=1)
    similarity, marks = np.take_along_axis(similarity, order, 1), np.take_along_axis(marks, order, 1)
    rest = Rest.from_similarities(similarity[:, 50:])
    whole, parts = (
        Calibrator().fit(similarity, marks),
        Calibrator().fit(similarity[:, :50], marks[:, :50], rest),
    )
    assert parts.temperature_ == pytest.approx(whole.temperature_, rel=1e-5)
    assert parts.nll(similarity[:, :50], marks[:, :50], rest) == pytest.approx(
        objective(similarity, marks, whole.temperature_), rel=1e-4
    )


def test_the_mean_form_is_minimised_exactly_and_understates_the_loss():
    similarity, marks = queries(n=1000)
    others = similarity[:, 200:].astype(np.float64)
    rest = Rest.from_mean(800, others.mean(axis=1))
    fitted = Calibrator().fit(similarity[:, :200], marks[:, :200], rest)
    t = fitted.temperature_
    losses = fitted.nll(similarity[:, :200], marks[:, :200], rest)
    assert (losses < objective(similarity, marks, t)).all()
    for factor in (0.95, 1.05):
        assert losses.mean() < fitted.nll(similarity[:, :200], marks[:, :200], rest, t * factor).mean()


def test_a_sampled_rest_lands_near():
    similarity, marks = queries(n=4000)
    rng = np.random.default_rng(0)
    cell = rng.integers(0, 10, 3900)
    others = similarity[:, 100:]
    count = np.tile(np.bincount(cell), (40, 1))
    mean = np.stack([np.bincount(cell, weights=row) for row in others]) / count
    chosen = np.concatenate([np.flatnonzero(cell == c)[:100] for c in range(10)])
    rest = Rest.from_cells(count, mean, others[:, chosen], cell[chosen])
    part = Calibrator().fit(similarity[:, :100], marks[:, :100], rest).temperature_
    assert part == pytest.approx(Calibrator().fit(similarity, marks).temperature_, rel=0.05)


def test_empty_bins_change_nothing():
    similarity, marks = queries()
    empty = Rest(np.zeros((40, 3)), np.full((40, 3), 0.99), np.full((40, 3), 0.99), np.full((40, 3), 0.99))
    plain, with_empty = Calibrator().fit(similarity, marks), Calibrator().fit(similarity, marks, empty)
    assert plain.temperature_ == pytest.approx(with_empty.temperature_, rel=1e-12)


def test_exemplars_that_are_always_first_have_no_temperature():
    similarity, marks = queries(lead=0.0)
    similarity[marks] = 0.95
    with pytest.raises(NotFittedError, match="every exemplar is the most similar"):
        Calibrator().fit(similarity, marks)


def test_exemplars_that_are_nearly_always_first_hit_the_floor():
    similarity = np.array([[0.5, 0.5 - 1e-8], [0.5 - 1e-8, 0.5], [0.5, 0.0], [0.5, 0.5 - 1e-8]])
    marks = np.array([[True, False]] * 4)
    with pytest.raises(NotFittedError, match="no temperature above 1e-07"):
        Calibrator().fit(similarity, marks)


@pytest.mark.parametrize("lead", [-0.1, 0.0])
def test_exemplars_that_are_no_closer_have_no_temperature(lead):
    similarity, marks = queries(lead=lead)
    if lead == 0.0:
        similarity[:] = 0.3
    with pytest.raises(NotFittedError, match="no more similar"):
        Calibrator().fit(similarity, marks)


def test_a_failed_fit_leaves_no_temperature():
    similarity, marks = queries(lead=-0.2)
    calibrator = Calibrator()
    with pytest.raises(NotFittedError):
        calibrator.fit(similarity, marks)
    assert not calibrator.is_fitted


def test_nll_before_and_after_on_held_out_queries():
    fitted = Calibrator().fit(*queries(seed=1))
    similarity, marks = queries(seed=2)
    before = fitted.nll(similarity, marks, temperature=1.0)
    after = fitted.nll(similarity, marks)
    assert before.shape == after.shape == (40,)
    assert after.mean() < before.mean()
    assert before == pytest.approx(objective(similarity, marks, 1.0), rel=1e-9)
    assert after == pytest.approx(objective(similarity, marks, fitted.temperature_), rel=1e-9)


def test_nll_of_the_released_form():
    similarity, marks = queries()
    released = Calibrator.from_temperature(0.05, bias=-1.0)
    weight = np.maximum(
        np.exp((similarity.astype(float) - similarity.max(1, keepdims=True)) / 0.05) - 0.001, 0
    )
    share = weight / weight.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        expected = -np.log(share[marks])
    assert released.nll(similarity, marks) == pytest.approx(expected, rel=1e-9)


def one_hit():
    similarity = -np.sort(-queries(q=3)[0], axis=1)
    hits = Hits(
        np.tile(np.arange(20), (3, 1)), similarity[:, :20], Rest.from_similarities(similarity[:, 20:])
    )
    return similarity.astype(np.float64), hits


def test_influence_is_the_softmax_and_sums_to_one():
    similarity, hits = one_hit()
    for calibrator, t in ((Calibrator.from_temperature(0.03), None), (Calibrator(), 0.03)):
        shares = calibrator.influence(hits, t)
        weight = np.exp((similarity - 1) / 0.03)
        truth = (weight / weight.sum(axis=1, keepdims=True))[:, :20]
        assert shares.influence == pytest.approx(truth, rel=1e-5)
        assert ((shares.low <= truth * (1 + 1e-9)) & (truth <= shares.high * (1 + 1e-9))).all()
        assert shares.influence.sum(axis=1) + shares.rest == pytest.approx(1.0)


def test_nothing_is_scored_without_a_temperature():
    _, hits = one_hit()
    with pytest.raises(NotFittedError, match="no temperature"):
        Calibrator().influence(hits)
    with pytest.raises(NotFittedError, match="no temperature"):
        Calibrator().nll(*queries())
    with pytest.raises(NotFittedError, match="no temperature"):
        Calibrator().save("unused")
    with pytest.raises(InvalidInputError, match="temperature"):
        Calibrator.from_temperature(0.1).influence(hits, temperature=0.0)
    assert "not fitted" in repr(Calibrator("fake")) and "0.1" in repr(Calibrator.from_temperature(0.1))


@pytest.mark.parametrize("bias", [None, -3.5])
def test_save_and_load(tmp_path, bias):
    Calibrator.from_temperature(0.0371, "fake", bias).save(tmp_path, {"seed": 7, "encoder": "ignored"})
    again = Calibrator.load(tmp_path, encoder="fake")
    assert (again.temperature_, again.bias_, again.encoder) == (0.0371, bias, "fake")
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["seed"], card["encoder"], card["temperature"]) == (7, "fake", 0.0371)


def test_another_encoder_is_a_mismatch(tmp_path):
    Calibrator.from_temperature(0.1, "dino-vitb16").save(tmp_path)
    with pytest.raises(CollectionMismatchError, match=r"'dino-vitb16', expected 'moco-v3-vitb16'"):
        Calibrator.load(tmp_path, encoder="moco-v3-vitb16")


def test_damage_is_found(tmp_path):
    Calibrator.from_temperature(0.1).save(tmp_path)
    (tmp_path / "calibrator.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="differs"):
        Calibrator.load(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "files": {}}))
    with pytest.raises(CheckpointError, match="cannot be used"):
        Calibrator.load(tmp_path)
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is it a calibrator"):
        Calibrator.load(tmp_path)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_released_file(tmp_path, shape):
    state = {"inv_tau": torch.full(shape, 40.0), "bias": torch.full(shape, -2.0)}
    torch.save(state, tmp_path / "clip_tuned.pth")
    made = Calibrator.from_release(tmp_path / "clip_tuned.pth", encoder="clip-vit-b32")
    assert (made.temperature_, made.bias_, made.encoder) == (pytest.approx(1 / 40), -2.0, "clip-vit-b32")
    similarity, hits = one_hit()
    weight = np.maximum(np.exp(40.0 * (similarity - similarity.max(axis=1, keepdims=True))) - 0.002, 0)
    truth = (weight / weight.sum(axis=1, keepdims=True))[:, :20]
    assert made.influence(hits).influence == pytest.approx(truth, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    "state",
    [
        {"inv_tau": torch.tensor(40.0)},
        {"inv_tau": torch.tensor(-1.0), "bias": torch.tensor(0.0)},
        {"inv_tau": torch.tensor(float("nan")), "bias": torch.tensor(0.0)},
        {"inv_tau": torch.tensor(1.0), "bias": torch.tensor(float("inf"))},
        {"inv_tau": torch.ones(2), "bias": torch.tensor(0.0)},
        {"inv_tau": "warm", "bias": 0.0},
        [1.0, 2.0],
    ],
)
def test_files_that_are_no_released_calibrator(tmp_path, state):
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="not a released calibrator"):
        Calibrator.from_release(tmp_path / "x.pth")


def test_missing_release():
    with pytest.raises(CheckpointError, match="does not exist"):
        Calibrator.from_release("nowhere.pth")


GOOD = np.array([[0.5, 0.2]])
MARK = np.array([[True, False]])


@pytest.mark.parametrize(
    ("similarity", "marks", "rest", "words"),
    [
        (np.array([[0.5, np.nan]]), MARK, None, "NaN"),
        (GOOD[0], MARK, None, "two dimensions"),
        (np.zeros((0, 2)), np.zeros((0, 2), dtype=bool), None, "at least one"),
        (GOOD, MARK.astype(int), None, "booleans"),
        (GOOD, MARK[0], None, "shape"),
        (GOOD, ~np.ones((1, 2), dtype=bool), None, "query 0 has no exemplar"),
        (GOOD, MARK, Rest.from_mean(1, [0.0, 0.0]), "1 queries and the rest 2"),
    ],
)
def test_bad_input(similarity, marks, rest, words):
    for call in (Calibrator().fit, Calibrator.from_temperature(0.1).nll):
        with pytest.raises(InvalidInputError, match=words):
            call(similarity, marks, rest)


@pytest.mark.parametrize("t", [0.0, -0.1, np.nan, np.inf])
def test_bad_temperatures(t):
    with pytest.raises(InvalidInputError, match="temperature"):
        Calibrator.from_temperature(t)
    with pytest.raises(InvalidInputError, match="temperature"):
        Calibrator.from_temperature(0.1).nll(GOOD, MARK, temperature=t)
