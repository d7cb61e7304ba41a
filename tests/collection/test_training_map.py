"""A map is made, kept, read and refused; what lies around a place and within an outline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from attribution_core.cli.main import app
from attribution_core.collection import training_map
from attribution_core.collection.collection import Collection
from attribution_core.collection.training_map import LEAST, SIDE, TrainingMap, make_map
from attribution_core.common.cards import CARD_NAME, read_card, write_card
from attribution_core.common.progress import Progress
from attribution_core.errors import CheckpointError, InvalidInputError, MissingDependencyError, OutputError
from tests.support.fakes import ENCODER, fake_collection, shape_image
from tests.support.maps import write_map


@pytest.fixture
def mapped(tmp_path: Path) -> Collection:
    collection = fake_collection(tmp_path / "shapes", n=30)
    write_map(collection, np.random.default_rng(0).integers(0, SIDE, (30, 2)))
    return collection


def test_a_map_is_kept_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    collection, steps = fake_collection(tmp_path / "shapes", n=LEAST), []
    made = make_map(collection, 3, steps.append)
    assert made.points.min() == 0 and made.points.max() == SIDE and len(np.unique(made.points, axis=0)) > 2
    assert np.array_equal(TrainingMap.open(collection).points, made.points)
    assert np.array_equal(make_map(collection, 3).points, made.points)
    assert not np.array_equal(make_map(collection, 4).points, made.points)
    assert [step.stage for step in steps[:2]] == ["reading features", "finding neighbours"]
    assert isinstance(steps[-1], Progress) and steps[-1].stage == "placing images"
    assert steps[-1].done == steps[-1].total
    assert read_card(collection.layout.map)["seed"] == 4


def test_a_map_of_three_images_is_refused(tmp_path: Path) -> None:
    fake_collection(tmp_path / "shapes", n=3)
    done = CliRunner().invoke(app, ["map", str(tmp_path / "shapes")])
    assert done.exit_code == 2 and not (tmp_path / "shapes/map").exists()
    assert done.stderr == f"error: a map takes at least 10 images; '{tmp_path / 'shapes'}' has 3.\n"


def test_without_umap_the_command_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingDependencyError, match=r"attribution-explorer\[map\]"):
        make_map(fake_collection(tmp_path / "shapes", n=12))


def test_a_collection_without_map_names_the_command(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=12)
    with pytest.raises(CheckpointError, match=r"has no map; make it with `python -m attribution_core map /"):
        TrainingMap.open(collection)


def test_a_map_of_other_images_is_refused(mapped: Collection) -> None:
    from attribution_core.encoding.encoders import load_encoder

    rows = load_encoder(ENCODER).encode([shape_image(i + 1) for i in range(30)])
    again = Collection.create(mapped.path, name="Shapes", encoder=ENCODER, features=rows, factory="Flat")
    with pytest.raises(
        CheckpointError, match=r"is of other images than it holds now; make it again with `py"
    ):
        TrainingMap.open(again)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((29, 2), np.uint16),
        np.zeros((30, 3), np.uint16),
        np.zeros((30, 2), np.float32),
        np.zeros((30, 2), object),
        b"",
        b"no array",
    ],
)
def test_a_file_of_another_kind_is_refused_in_a_sentence(mapped: Collection, points: Any) -> None:
    folder = mapped.layout.map
    if isinstance(points, bytes):
        (folder / "points.npy").write_bytes(points)
    else:
        np.save(folder / "points.npy", points)
    with pytest.raises(CheckpointError, match=r"differs from its card .* make it again\.$"):
        TrainingMap.open(mapped)
    write_card(folder, {**read_card(folder), "files": ["points.npy"]})
    with pytest.raises(CheckpointError, match=r"points\.npy' .*; make it again with `python"):
        TrainingMap.open(mapped)


@pytest.mark.parametrize("card", [{}, {"index": []}, {"index": {}, "files": {}, "n_training": -1}, [1]])
def test_a_damaged_card_is_refused_in_a_sentence(mapped: Collection, card: Any) -> None:
    (mapped.layout.map / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"ake it again|create it again"):
        TrainingMap.open(mapped)


def test_a_map_that_cannot_be_written_leaves_the_one_before(
    mapped: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = TrainingMap.open(mapped).points

    def full(folder: Path, card: Any) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(training_map, "write_card", full)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=_OnALine))
    with pytest.raises(OutputError, match="the disk is full"):
        make_map(mapped)
    assert np.array_equal(TrainingMap.open(mapped).points, before)
    assert {path.name for path in mapped.path.iterdir() if "map" in path.name} == {"map", "mappers"}


class _OnALine:
    """In place of UMAP: rows one after another, the first without a place."""

    def __init__(self, **options: Any) -> None:
        pass

    def fit_transform(self, rows: np.ndarray) -> np.ndarray:
        return np.array([[np.nan if k == 0 else k, 1.0] for k in range(len(rows))], np.float32)


def test_an_image_without_neighbours_is_put_in_the_middle(
    mapped: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=_OnALine))
    points = make_map(mapped).points
    assert points[:, 1].tolist() == [0] * 30 and points[1:, 0].tolist() == sorted(points[1:, 0].tolist())
    assert points[0, 0] == points[15, 0] and points[29, 0] == SIDE
    assert np.array_equal(TrainingMap.open(mapped).points, points)


GRID = TrainingMap(np.array([[x, y] for x in range(0, 100, 10) for y in range(0, 100, 10)], np.uint16))


def test_what_lies_around_a_place_comes_nearest_first() -> None:
    assert GRID.around(41.0, 52.0, 3).tolist() == [45, 46, 55]
    assert len(GRID.around(-1e9, 1e9, 1000)) == 100


def test_what_lies_within_an_outline_comes_from_its_middle() -> None:
    box = GRID.inside([[15, 15], [45, 15], [45, 45], [15, 45]])
    assert sorted(box.tolist()) == [22, 23, 24, 32, 33, 34, 42, 43, 44] and box[0] == 33
    # An L leaves out the corner that its bounding box has.
    ell = GRID.inside([[15, 15], [45, 15], [45, 25], [25, 25], [25, 45], [15, 45]])
    assert sorted(ell.tolist()) == [22, 23, 24, 32, 42]
    assert GRID.inside([[1, 1], [2, 1], [2, 2]]).tolist() == []


@pytest.mark.parametrize(
    "outline", [[], [[1, 2]], [[1, 2], [3, 4]], [[1, 2, 3]] * 4, [[np.nan, 1]] * 3, [[0, 0]] * 501]
)
def test_what_is_no_outline_is_refused(outline: Any) -> None:
    with pytest.raises(InvalidInputError, match="^outline "):
        GRID.inside(outline)


def test_the_middle_is_weighted() -> None:
    ids = np.array([0, 99])
    assert GRID.middle(ids, [3.0, 1.0]) == (22.5, 22.5)
    assert GRID.middle(ids, [0.0, 0.0]) == (45.0, 45.0), "without weights, the mean"
