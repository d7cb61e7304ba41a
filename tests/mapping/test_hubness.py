"""Hubness correction: worked by hand, saved and loaded, and refused where it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from attribution_core.common.arrays import normalized
from attribution_core.common.cards import read_card, write_card
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.mapping.heads import Head
from attribution_core.mapping.hubness import HubnessCorrection
from attribution_core.mapping.pair import MapperPair

RNG = np.random.default_rng(0)


def rows(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return normalized(np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32))


@given(st.integers(1, 7), st.floats(0.05, 3), st.integers(0, 99))
def test_a_corrected_similarity_is_the_similarity_less_the_mean_of_the_nearest_queries(
    neighbours: int, weight: float, seed: int
) -> None:
    train, query, reference = rows(9, seed=seed), rows(4, seed=seed + 1), rows(7, seed=seed + 2)
    correction = HubnessCorrection(reference, neighbours, weight)
    mapped, asked = correction.extend_training(train), correction.extend_queries(query)
    for part in (mapped, asked):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)
    hub = np.sort(train @ reference.T, axis=1)[:, -neighbours:].mean(axis=1)
    expected = correction.scale * (query @ train.T - weight * hub)
    np.testing.assert_allclose(asked @ mapped.T, expected, atol=1e-5)


def test_an_image_that_is_near_to_everything_falls_behind() -> None:
    hub, own = np.array([1.0, 0, 0], np.float32), np.array([0.6, 0.8, 0], np.float32)
    reference = normalized(np.array([[1, 0.3, 0], [1, -0.3, 0], [1, 0, 0.3], [1, 0, -0.3]], np.float32))
    query = normalized(np.array([[1, 0.4, 0]], np.float32))
    train = np.stack([hub, own])
    plain = MapperPair.identity(3)
    corrected = plain.with_hubness_correction(reference, 2, 0.5)
    before, after = (pair.map_query(query) @ pair.map_training(train).T for pair in (plain, corrected))
    assert before[0, 0] > before[0, 1] and after[0, 1] > after[0, 0]


@pytest.mark.parametrize("identity", [True, False])
def test_a_pair_is_saved_with_its_correction(tmp_path: Path, identity: bool) -> None:
    head = Head(RNG.normal(size=(5, 6)).astype(np.float32), np.zeros(5, np.float32))
    plain = MapperPair.identity(6, "fake") if identity else MapperPair(head, head, "fake")
    pair = plain.with_hubness_correction(rows(8, seed=3), 3, 0.25)
    assert pair.out_dim == plain.out_dim + 2 and pair.dim == 6
    pair.save(tmp_path)
    assert read_card(tmp_path)["hubness"] == {"neighbours": 3, "weight": 0.25}
    loaded = MapperPair.load(tmp_path, "fake")
    train, query = rows(4, seed=4), rows(2, seed=5)
    np.testing.assert_array_equal(loaded.map_training(train), pair.map_training(train))
    np.testing.assert_array_equal(loaded.map_query(query), pair.map_query(query))
    again = pair.with_hubness_correction(rows(8, seed=3), 3, 0.25)
    np.testing.assert_array_equal(again.map_training(train), pair.map_training(train))


@pytest.mark.parametrize(
    ("neighbours", "weight", "words"),
    [(0, 0.5, "neighbours"), (9, 0.5, "neighbours"), (3, 0.0, "weight"), (3, float("nan"), "weight")],
)
def test_values_out_of_range_are_refused(neighbours: int, weight: float, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        MapperPair.identity(6).with_hubness_correction(rows(8), neighbours, weight)


def test_a_correction_of_another_width_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    pair = MapperPair.identity(6, "fake")
    head = Head(np.eye(6, dtype=np.float32), np.zeros(6, np.float32))
    with pytest.raises(InvalidInputError, match="5 columns"):
        MapperPair(head, head, "fake", hubness=HubnessCorrection(rows(8, 5), 3))
    pair.with_hubness_correction(rows(8), 3).save(tmp_path)
    file = tmp_path / "mappers.safetensors"
    for stored in ({"other": rows(2)}, {**load_file(file), "hubness.queries": rows(2)}):
        save_file(stored, file)
        write_card(tmp_path, {**json.loads((tmp_path / "card.json").read_text()), "files": [file.name]})
        with pytest.raises(CheckpointError, match="save it again"):
            MapperPair.load(tmp_path)
