"""The tab Second opinion in a browser: progress, result, stop; and why it is not given."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.common.estimates import Estimate
from attribution_core.common.progress import Progress
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.settings import Settings
from tests.support.browser import generate, tab
from tests.support.fakes import fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like
from ui.services.app import Query, Services
from ui.services.second_opinion import SecondOpinionServices
from ui.tabs.second_opinion import _headline, agreement_words


def test_two_rankings_side_by_side_and_nothing_left_of_a_stopped_one(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    tab(opened, "Second opinion")
    expect(opened.locator("#opinion-status")).to_contain_text("Judges the first 50 images of the list for")
    opened.locator("#ask-opinion").click()
    expect(opened.locator("#opinion-status [role=progressbar]")).to_be_visible()
    expect(opened.locator("#opinion-status")).to_contain_text("seconds left")
    opened.locator("#stop-opinion").click()
    expect(opened.locator("#opinion-status")).to_contain_text("Stopped")
    expect(opened.locator("#opinion-words")).to_be_hidden()
    opened.locator("#ask-opinion").click()
    expect(opened.locator("#opinion-words h2")).to_be_visible(timeout=180_000)
    expect(opened.locator("#opinion-status")).to_contain_text("Done")
    for gallery in ("#opinion-similarity", "#opinion-unlearning"):
        expect(opened.locator(f"{gallery} .thumbnail-item")).to_have_count(8)
    expect(opened.locator("#opinion-tiles")).to_contain_text("Spearman's correlation")
    expect(opened.locator("#opinion-map .main-svg").first).to_be_visible()
    opened.locator("#opinion-table-fold button").first.click()
    expect(opened.locator("#opinion-table")).to_contain_text("drawn at random")
    # Another image: what was said of the first is gone.
    tab(opened, "Generate")
    generate(opened, "green apple, noto style", 4)
    tab(opened, "Second opinion")
    expect(opened.locator("#opinion-words")).to_be_hidden()
    expect(opened.locator("#opinion-status")).to_contain_text("green apple")


def test_an_upload_has_no_second_opinion(opened: Page, tmp_path: Path) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    shape_image(5).save(tmp_path / "five.png")
    opened.locator("#upload input[type=file]").set_input_files(tmp_path / "five.png")
    tab(opened, "Attribution")
    expect(opened.locator("#headline")).to_contain_text("“five”")
    tab(opened, "Second opinion")
    expect(opened.locator("#opinion-status")).to_contain_text("needs an image that was generated here")
    expect(opened.locator("#ask-opinion")).to_be_disabled()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_nothing_is_cut_off(browser: Browser, own_app: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(own_app)
    expect(page.get_by_role("tab", name="Generate")).to_be_visible()
    tab(page, "Second opinion")
    expect(page.locator("#opinion-status")).to_contain_text("This collection has no generator")
    page.locator("#opinion-know button").first.click()
    expect(page.locator("#opinion-measured")).to_contain_text("was not measured")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.close()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    folder = tmp_path_factory.mktemp("opinion") / "shapes"
    fake_collection(folder, n=60)
    make_pocket_like(folder / "generator")
    return Services.open(Settings(collection=folder, top=20))


def made(services: Services) -> Query:
    return next(e for e in services.generate("red cat", 3, 4, 2.0) if isinstance(e, Query))


def weights(services: Services) -> str:
    assert services.generator is not None
    state = services.generator.pipeline.unet.state_dict()
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in state.values())).hexdigest()


def test_progress_and_then_both_rankings(services: Services) -> None:
    query, before = made(services), weights(services)
    *steps, told = SecondOpinionServices(services).ask(query, None)
    assert steps and all(isinstance(s, Progress) for s in steps)
    assert isinstance(told, SecondOpinion) and len(told) == 60 and told.listed.sum() == 50
    assert weights(services) == before
    assert "first" in _headline(told) or "not forgotten" in _headline(told)


def test_a_listener_that_leaves_stops_the_work_and_the_generator_is_as_before(services: Services) -> None:
    query, before = made(services), weights(services)
    stream = SecondOpinionServices(services).ask(query, None)
    next(stream)
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "second opinion":
            thread.join(30)
            assert not thread.is_alive()
    assert weights(services) == before


def test_queries_that_cannot_be_judged_say_why(services: Services, tmp_path: Path) -> None:
    asked, query = SecondOpinionServices(services), made(services)
    assert asked.hindrance(query) == "" and query.recipe is not None
    assert "no image yet" in asked.hindrance(None)
    assert "is not known" in asked.hindrance(Query(shape_image(1), "one"))
    from dataclasses import replace

    assert "another" in asked.hindrance(
        replace(query, recipe=replace(query.recipe, generator_sha256="0" * 64))
    )
    assert "is not known" in asked.hindrance(replace(query, recipe=replace(query.recipe, prompt=" ")))
    with pytest.raises(InvalidInputError, match="no image yet"):
        next(asked.ask(None, None))
    bare = Services.open(Settings(collection=fake_collection(tmp_path / "bare", n=20).path))
    assert "no generator" in SecondOpinionServices(bare).hindrance(query)


def test_what_was_measured_is_read_or_said_to_be_damaged(services: Services) -> None:
    assert SecondOpinionServices(services).measured is None
    path = services.collection.path / "evidence/second_opinion.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"date": "today"}))
    with pytest.raises(CheckpointError, match=r"pocket\.evidence\.second_opinion"):
        _ = SecondOpinionServices(services).measured


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.1, -0.1, 0.3, "no clear agreement"),
        (0.3, 0.1, 0.5, "agree a little"),
        (0.5, 0.3, 0.7, "agree in part"),
        (0.8, 0.7, 0.9, "largely agree"),
        (-0.5, -0.7, -0.2, "rather the reverse"),
    ],
)
def test_a_correlation_in_words(value: float, low: float, high: float, words: str) -> None:
    assert agreement_words(Estimate(value, low, high)) == words
