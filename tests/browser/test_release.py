"""The app over a collection from released files, which holds captions and links and no pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from attribution_core.collection.collection import Collection
from attribution_core.corpus.placeholders import placeholder
from attribution_core.reports.html import report_page
from attribution_core.reports.report import make_report
from attribution_core.settings import Settings
from tests.support.browser import listed, start, tab, watched
from tests.support.fake_release import save_calibrator, save_features, save_mappers, shapes
from tests.support.fakes import ENCODER, fake_collection, shape_image
from ui.services.app import Query, Services
from ui.tabs.compare import Side, _compared

N = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("released")
    (root / "captions.txt").write_text(
        "".join(f"shape {i} & co\thttps://images.example.org/{i}.jpg\n" for i in range(N))
    )
    made = Collection.from_release(
        root / "collection",
        features=save_features(root / "f.pth", shapes(N)),
        encoder=ENCODER,
        mappers=save_mappers(root / "m.pth"),
        calibrator=save_calibrator(root / "c.pth", 200.0, -1.0),
        captions=root / "captions.txt",
    )
    return made.path


@pytest.fixture(scope="module")
def services(folder: Path) -> Services:
    return Services.open(Settings(collection=folder))


@pytest.fixture(scope="module")
def release_app(folder: Path) -> Iterator[str]:
    yield from start(Settings(port=0, collection=folder))


@pytest.fixture
def opened(page: Page, release_app: str) -> Iterator[Page]:
    yield from watched(page, release_app)


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
    shown = Services.open(Settings(collection=fake_collection(tmp_path / "shapes", N).path))
    other = Side(shown, query, shown.collection.method, shown.attribute(query))
    assert _compared(left, other, 10).shared == ()


def test_the_page_shows_tiles_captions_and_links(opened: Page, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "mine.png")
    opened.locator("#upload input[type=file]").set_input_files(tmp_path / "mine.png")
    tab(opened, "Attribution")
    expect(opened.locator("#headline")).to_contain_text("shape 7 & co")
    expect(listed(opened)).to_have_count(12)
    size = "image => image.complete && image.naturalWidth"
    opened.wait_for_function("() => document.querySelector('#gallery img')?.naturalWidth > 0")
    assert opened.locator("#gallery img").first.evaluate(size) == 320
    facts = opened.locator("#facts")
    expect(facts).to_contain_text("not stored in this collection")
    link = facts.get_by_role("link", name="see it at its source")
    expect(link).to_have_attribute("href", "https://images.example.org/7.jpg")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    for name, drawn in (
        ("Scores", "#histogram .main-svg"),
        ("Credit", "#credit-words"),
        ("Memorization", "body"),
        ("Compare", "#compare-words"),
    ):
        tab(opened, name)
        expect(opened.locator(drawn).first).to_be_visible()
    expect(opened.locator(".toast-body")).to_have_count(0)


def test_it_is_called_through_the_api(release_app: str, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    shape_image(7).save(tmp_path / "mine.png")
    told = Client(release_app, verbose=False).predict(
        handle_file(tmp_path / "mine.png"), top=2, api_name="/attribute_image"
    )
    top = json.loads(told)["top"] if isinstance(told, str) else told["top"]
    assert top[0]["link"] == "https://images.example.org/7.jpg"
