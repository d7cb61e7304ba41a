"""What a visit keeps of its images beside their influences: each image is judged once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.settings import Settings
from tests.support.fakes import copying_collection, fake_collection, shape_image
from ui.services import judged
from ui.services.app import Query, Services
from ui.services.judged import Judged, judge, keep, of_query
from ui.widgets.joined import joined_boxes


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    folder = copying_collection(tmp_path_factory.mktemp("judged") / "shapes", 24).path
    return Services.open(Settings(collection=folder))


def test_an_image_is_judged_once(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    query = Query(shape_image(3), "three")
    services.copies.prepare()
    known = keep([], judge(services, query, []))
    copy = of_query(known, query).copy
    assert copy is not None and int(copy.ids[0]) == 3
    monkeypatch.setattr(Memorization, "check", lambda *given: pytest.fail("judged twice"))
    same = replace(query, title="another name", said_so=True, image=query.image.copy())
    assert judge(services, same, known).copy is copy


def test_the_latest_are_kept_and_an_image_stands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged, "MOST", 2)
    known: list[Judged] = []
    for key in "abab":
        known = keep(known, Judged(key))
    assert [one.key for one in keep(known, Judged("c"))] == ["b", "c"]
    assert of_query(None, Query(shape_image(1), "one")).copy is None


def test_pixels_size_and_mode_tell_images_apart() -> None:
    images = [Image.new("RGB", (2, 8)), Image.new("RGB", (8, 2)), Image.new("L", (6, 8)), shape_image(1)]
    assert len({Query(image, "same").key for image in images}) == 4


def test_without_a_copy_encoder_nothing_is_promised(tmp_path: Path) -> None:
    services = Services.open(Settings(collection=fake_collection(tmp_path / "shapes", n=20).path))
    query = Query(shape_image(3), "three")
    assert judge(services, query, None).copy is None
    attribution, memorization = joined_boxes(query, services.attribute(query))
    assert "Copy" not in attribution + memorization


def test_both_tabs_say_the_same(services: Services) -> None:
    services.copies.prepare()
    query = Query(shape_image(3), "a <b>title</b>")
    result = services.attribute(query)
    before = joined_boxes(query, result, pending=True)
    assert all("Looking for one" in box for box in before)
    boxes = joined_boxes(query, result, keep([], judge(services, query, None)))
    lines = [box[box.index("<b>Copy:</b>") :].split("</p>")[0] for box in boxes]
    assert lines[0] == lines[1] and all("<b>title" not in box for box in boxes)


def test_the_first_sentence_is_in_sight_and_the_rest_a_tap_away(services: Services) -> None:
    services.copies.prepare()
    query = Query(shape_image(3), "three")
    judgement = keep([], judge(services, query, None))
    for box in joined_boxes(query, services.attribute(query), judgement):
        first, rest = box.split("<details>")
        assert "ost similar training image" in first and "<b>Copy:</b>" not in first
        assert "<b>Copy:</b>" in rest.split("</details>")[0]
    assert all("<details>" not in box for box in joined_boxes(None, None))
