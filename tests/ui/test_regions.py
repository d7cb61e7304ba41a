"""What the tab Regions asks for, without a browser: masks, edges, clicks, and the evidence."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.settings import Settings
from tests.support.fakes import fake_collection, shape_image
from ui.services.app import Query, Services
from ui.services.regions import RegionServices, between, box_of, corner_at, read_mask
from ui.widgets import regions_html as words
from ui.widgets import regions_texts as texts


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return Services.open(
        Settings(collection=fake_collection(tmp_path_factory.mktemp("rs") / "shapes", n=60).path)
    )


def layer(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> bytes:
    image, out = Image.new("RGBA", size), io.BytesIO()
    for box in boxes:
        image.paste((208, 72, 62, 255), box)
    image.save(out, "PNG")
    return out.getvalue()


def test_layers_become_one_mask() -> None:
    mask = read_mask([layer((8, 8), (0, 0, 2, 2)), layer((4, 4), (3, 3, 4, 4))])
    expected = np.zeros((8, 8), bool)
    expected[:2, :2] = expected[6:, 6:] = True
    assert (mask == expected).all()


def test_bad_layers_edges_and_clicks_are_refused_or_kept_inside(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, query = RegionServices(services), Query(shape_image(3), "three")
    with pytest.raises(InvalidInputError, match="nothing is painted yet"):
        asked.painted(query, None, [])
    with pytest.raises(InvalidImageError, match="could not be read"):
        asked.painted(query, None, [b"no image"])
    monkeypatch.setattr("ui.services.regions.MAX_PIXELS", 63)
    with pytest.raises(InvalidImageError, match="too many pixels"):
        read_mask([layer((8, 8))])
    with pytest.raises(InvalidInputError, match="edges is empty"):
        asked.box(query, None, [None, 50, 0, 50])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="within the image"):
        box_of([0, 120, 0, 50])
    with pytest.raises(InvalidInputError, match="no image yet"):
        asked.grid(None, None, "creator", 4)
    with pytest.raises(InvalidInputError, match="cells"):
        asked.grid(query, None, "creator", 2.5)
    assert corner_at((600, -3), (512, 512)) == (100, 0)
    assert between((80, 10), (20, 40)) == (20, 80, 10, 40)
    assert between((100, 0), (100, 0)) == (98, 100, 0, 2)


def test_a_region_has_shares_only_where_its_image_has(services: Services) -> None:
    asked, query = RegionServices(services), Query(shape_image(3), "three")
    similar = asked.box(query, None, (0, 50, 0, 50))
    head = similar.result.head(4)
    assert "No shares" in words.answer(similar)
    shown = words.table(head, None)
    assert not any("share" in name for name in shown["headers"])
    assert [row[1] for row in shown["data"]] == [round(float(s), 4) for s in head.similarity]
    shared = asked.box(replace(query, said_so=True), None, (0, 50, 0, 50))
    assert "No shares" not in words.answer(shared)
    shown = words.table(shared.result.head(4), None)
    assert shown["headers"] == list(texts.COLUMNS) and shown["data"][0][3] > 0


def test_a_grid_names_makers_as_they_are_called_and_other_groups_by_their_kind(services: Services) -> None:
    own, query = RegionServices(services), Query(shape_image(3), "three")
    by_maker, by_style = (own.grid(query, None, by, 2) for by in ("creator", "style"))
    maker, style = by_maker.parts[0], by_style.parts[0]
    shown = len(by_maker.cells) - by_maker.blank
    told = words.grid_sentence(by_maker, lambda name: f"icon set by <{name}>")
    assert f"Closest to {maker.cells} of {shown} fields" in told
    assert f": icon set by &lt;{maker.name}&gt;, with " in told
    assert f": style “{style.name}”, with " in words.grid_sentence(by_style, str)
    for blank, said in ((0, ""), (1, "One field shows only"), (2, "2 fields show only")):
        cells = [
            replace(cell, nearest=-1 if k < blank else 0) for k, cell in enumerate([by_maker.cells[0]] * 4)
        ]
        told = words.grid_sentence(replace(by_maker, cells=tuple(cells)), str)
        assert said in told and ("background" in told) is bool(blank)
    assert words.grid_sentence(replace(by_maker, parts=()), str) == texts.ALL_BLANK


def test_the_measured_test_is_read_or_said_to_be_damaged(services: Services) -> None:
    assert RegionServices(services).measured is None
    path = services.collection.path / "evidence/regions.json"
    path.parent.mkdir()
    path.write_text('{"methods": 3}')
    with pytest.raises(CheckpointError, match=r"pocket\.evidence\.regions"):
        _ = RegionServices(services).measured
    told = RegionServices(Services.open(Settings())).measured
    assert told is not None and told.cases >= 100
    assert [view.view for view in next(iter(told.methods.values()))][0] == "true box"
