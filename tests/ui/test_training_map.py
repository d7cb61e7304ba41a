"""The map in the tab Training set: what is chosen on it, whatever a caller sends, and how it is coloured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attribution_core.attribution.origin import MadeBy
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.figures.training_map import COLOURS
from attribution_core.settings import Settings
from tests.support.fakes import fake_collection, shape_image
from tests.support.maps import write_map
from ui.services.app import Query, Services
from ui.services.place import Place
from ui.services.training_map import AROUND, ColourBy, MapServices
from ui.services.training_set import TrainingSetServices


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> MapServices:
    folder = tmp_path_factory.mktemp("map") / "shapes"
    collection = fake_collection(folder, n=30)
    write_map(collection, [[1000 * k, 500] for k in range(30)])
    return MapServices(TrainingSetServices(Services.open(Settings(collection=folder))))


def test_a_click_lists_the_images_around_it(own: MapServices) -> None:
    found = own.chosen("[[7100, 480]]")
    assert found.positions[:3].tolist() == [7, 8, 6] and len(found.positions) == AROUND == found.said
    assert own._own.words(Place(), found, 1) == (
        f"The 24 training images around “{own.captions[7]}” on the map."
    )


def test_an_outline_lists_the_images_within_it(own: MapServices) -> None:
    found = own.chosen("[[1500, 0], [4500, 0], [4500, 900.5], [1500, 900]]")
    assert found.positions.tolist() == [3, 2, 4] and found.what.startswith("3 training images lie within")
    assert own.chosen("[[1500,0],[2500,0],[2500,900],[1500,900]]").what.startswith("1 training image lies ")


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "null", "7", "{}", "[]", "[[]]", "[[1]]", "[[1,2,3]]", '[["1",2]]', "[[true,1]]", "[1,2]"),
        *("[[NaN,1]]", "[[Infinity,1]]", "[[1e999,1]]", f"[[{'9' * 400},1]]", "[[1,2],[3,4]]", "[[null,1]]"),
        *("[" * 100_000, f"[{'[1,2],' * 500}[1,2]]", f"[[1,2]{' ' * 100_000}]", '{"0":[1,2]}', "[[9e9,1]]"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(own: MapServices, text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^what was chosen on the map could not be read; click"):
        own.chosen(text)


def test_an_outline_around_nothing_is_refused(own: MapServices) -> None:
    with pytest.raises(InvalidInputError, match="^no training image lies within this outline"):
        own.chosen("[[1500, 600], [4500, 600], [4500, 900]]")


def test_the_largest_groups_have_a_colour_each(own: MapServices) -> None:
    column = own._corpus.column("creator")
    coloured = own.coloured(ColourBy.MAKER)
    assert [coloured.names[k] for k in coloured.groups] == column
    assert len(coloured.names) == len(set(column)) <= len(COLOURS) and coloured.others == "not stated"


def test_an_image_stands_in_the_middle_of_those_it_lists(own: MapServices) -> None:
    services = own._own.services
    query = Query(shape_image(3), "a\nshape")
    result = services.attributor().attribute(query.image, 5, made_by=MadeBy.SAID_SO)
    here, listed = own.here(query, result), own.influences(result)
    assert here.x == pytest.approx(1000 * np.average(result.ids, weights=result.influence)) and here.y == 500
    assert here.name == "“a shape”, placed among its nearest training images"
    assert listed.values.tolist() == result.influence.tolist() and listed.tick == ".0%"
    unknown = services.attributor().attribute(query.image, 5)
    assert own.influences(unknown).name == "similarity"


def test_a_map_that_is_made_while_the_app_runs_is_found(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=12)
    later = MapServices(TrainingSetServices(Services.open(Settings(collection=tmp_path / "shapes"))))
    with pytest.raises(CheckpointError, match="has no map; make it with"):
        _ = later.map
    write_map(collection, np.zeros((12, 2)))
    assert len(later.map) == 12
