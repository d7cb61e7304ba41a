"""A collection from released files, without a browser: tiles for pictures, links to compare by, and the API."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from attribution_core.corpus.placeholders import placeholder
from attribution_core.reports.html import report_page
from attribution_core.reports.report import make_report
from attribution_core.settings import Settings
from tests.support.fake_release import released_shapes
from tests.support.fakes import fake_collection, shape_image
from ui.services.app import Query, Services
from ui.tabs.compare import Side, _compared


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return Services.open(Settings(collection=released_shapes(tmp_path_factory.mktemp("released"))))


def test_pictures_that_are_not_stored_are_tiles(services: Services) -> None:
    query = Query(shape_image(7), "mine")
    result = services.attribute(query)
    assert int(result.ids[0]) == 7 and result.credits[0].caption == "shape 7 & co"
    assert services.training_image(7).read_bytes() == placeholder("shape 7 & co")
    report = make_report(query.image, result, services.collection, title="mine", shown=3)
    page = report_page(report)
    assert "data:image/png;base64," in page and "https://images.example.org/7.jpg" in page


def test_collections_without_pictures_are_compared_by_links(services: Services, tmp_path: Path) -> None:
    query = Query(shape_image(7), "mine")
    result = services.attribute(query)
    again = Services.open(Settings(collection=services.collection.path))
    left, right = (Side(one, query, one.collection.method, result) for one in (services, again))
    told = _compared(left, right, 10)
    assert [(s.left, s.right) for s in told.shared] == [(k, k) for k in range(1, 11)]
    shown = Services.open(Settings(collection=fake_collection(tmp_path / "shapes", 60).path))
    other = Side(shown, query, shown.collection.method, shown.attribute(query))
    assert _compared(left, other, 10).shared == ()


def test_it_is_called_through_the_api(released_app: str, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "mine.png")
    told = Client(released_app, verbose=False).predict(
        handle_file(tmp_path / "mine.png"), top=2, api_name="/attribute_image"
    )
    assert told["top"][0]["link"] == "https://images.example.org/7.jpg"
