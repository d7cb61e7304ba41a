"""Temperatures and the number of candidates: bins against the whole sum, crops that come again, a slope by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card
from attribution_core.scoring.calibrator import Calibrator
from pocket.evidence import scaling
from tests.support.fakes import ENCODER, fake_benchmark, fake_collection, shape_image


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16), temperature=st.floats(0.03, 1), parts=st.integers(1, 5))
def test_bins_hold_the_sum_of_all_that_was_added(seed, temperature, parts):
    similarity = np.random.default_rng(seed).uniform(-1, 1, (3, 60)).astype(np.float32)
    similarity[0, 0], similarity[1, 0] = 1, -1
    bins = scaling.Bins(3)
    for part in np.array_split(similarity, parts, axis=1):
        bins.add(part)
    exact = np.logaddexp.reduce(similarity.astype(np.float64) / temperature, axis=1)
    low, estimate, high = bins.rest().log_sum_exp(temperature)
    assert (bins.rest().total == 60).all()
    assert (low <= exact + 1e-6).all() and (exact <= high + 1e-6).all()
    assert estimate == pytest.approx(exact, abs=1e-3)


def test_crops_come_again_and_are_kept(tmp_path):
    images = [shape_image(i, 96) for i in range(5)]

    class Eye:
        name, calls = "eye", 0

        def encode(self, images, batch_size):
            Eye.calls += 1
            return np.stack([np.asarray(i.resize((4, 4)), np.float32).ravel() for i in images])

    first = scaling.Crops(images, Eye(), tmp_path / "a")
    one = first.block(3)
    assert one.shape == (4096, 48) and not np.array_equal(one, first.block(4))
    assert np.array_equal(first.block(3), one) and Eye.calls == 2
    assert np.array_equal(scaling.Crops(images, Eye(), tmp_path / "b").block(3), one)
    assert len(np.unique(one, axis=0)) > 3000


def test_the_slope_by_hand():
    # 1 / temperature is 10 at 100 candidates and grows by 2 with each factor of e.
    numbers = [50, 100, 400]
    temperatures = [1 / (10 + 2 * np.log(n / 100)) for n in numbers]
    assert scaling.slope(numbers, temperatures, 100) == pytest.approx(2)


def test_the_study_equals_the_whole_softmax_with_every_number():
    rng = np.random.default_rng(1)
    exemplars = unit(rng.normal(size=(40, 8)))
    rows = unit(exemplars + 0.25 * rng.normal(size=(40, 8)))
    own = np.einsum("qm,qm->q", rows, exemplars)[:, None]
    fit, test = scaling.Queries(rows[:20], own[:20]), scaling.Queries(rows[20:], own[20:])
    training, pads = unit(rng.normal(size=(300, 8))), unit(rng.normal(size=(500, 8)))
    found, slope = scaling.study(training, iter(np.array_split(pads, 3)), fit, test, (100, 700))
    assert [row.candidates for row in found] == [100, 300, 700]
    every = np.concatenate([training, pads[:400]])
    similarity = np.concatenate([own, rows @ every.T], axis=1)
    marks = np.zeros(similarity.shape, bool)
    marks[:, 0] = True
    best = Calibrator().fit(similarity[:20], marks[:20]).temperature_
    assert found[2].temperature == pytest.approx(best, rel=1e-3)
    fixed = found[1].temperature
    twin = Calibrator().nll(similarity[20:], marks[20:], temperature=fixed).mean()
    assert found[2].nll_fixed == pytest.approx(twin, abs=1e-3)
    assert found[1].nll_fixed == found[1].nll_best == found[1].nll_corrected
    corrected = 1 / (1 / fixed + slope * np.log(700 / 300))
    twin = Calibrator().nll(similarity[20:], marks[20:], temperature=corrected).mean()
    assert found[2].nll_corrected == pytest.approx(twin, abs=1e-3)
    assert found[0].nll_uniform == pytest.approx(np.log(101))


def test_the_recipe_writes_what_it_finds(tmp_path, monkeypatch):
    collection = fake_collection(tmp_path / "shapes", n=60)
    (collection.path / "benchmark").mkdir()
    manifest = fake_benchmark(collection.path / "benchmark")
    for split in (scaling.FIT, *scaling.TEST):
        (collection.path / f"benchmark/{split}.json").write_bytes(manifest.read_bytes())
    monkeypatch.setattr(scaling, "NUMBERS", (30, 5000))
    scaling.main(collection.path, None, 5000, tmp_path / "work")
    told = json.loads((collection.path / "evidence/scaling.json").read_text())
    assert told["method"] == Collection.open(collection.path).method and told["fitted_with"] == 60
    assert [row["candidates"] for row in told["numbers"]] == [30, 60, 5000]
    assert told["queries"] == {"fit": 24, "test": 48}
    assert len(list((tmp_path / "work" / ENCODER).iterdir())) == 2
    opened = Collection.open(collection.path)  # whose calibrator is still whole
    holds = read_card(opened.layout.calibrator(opened.method))["holds_for_candidates"]
    assert holds["tried"] == [30, 60, 5000] and holds["least"] <= 60 <= holds["most"]
