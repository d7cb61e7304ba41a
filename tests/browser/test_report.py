"""In a browser: files to take away, links and PNGs that bring a result back, a visit's history, Compare."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.common.images import read_image
from attribution_core.generation.recipe import Recipe
from attribution_core.settings import Settings
from tests.support.browser import (
    PATIENCE_MS,
    PROMPT,
    choose,
    dismiss,
    generate,
    hand_over,
    listed,
    saved,
    start,
    tab,
    unfold,
    upload,
    watched,
)
from tests.support.fakes import fake_collection, shape_image
from tests.support.images import save_png
from ui.services.app import Services


@pytest.fixture(scope="module")
def two_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over two collections of one name; the second holds the first's images and more."""
    folder = tmp_path_factory.mktemp("two")
    fake_collection(folder / "few", n=24, temperature=0.05)
    fake_collection(folder / "many", n=72, temperature=0.05)
    yield from start(Settings(port=0, collection=folder / "few", compare_with=(folder / "many",)))


def history(page: Page, count: int) -> None:
    expect(page.locator("#history .thumbnail-item")).to_have_count(count)


def test_a_report_is_made_on_the_click_and_needs_no_network(
    opened: Page, browser: Browser, tmp_path: Path
) -> None:
    tab(opened, "Attribution", "By image")
    expect(listed(opened)).to_have_count(12)
    told = json.loads(saved(opened, "#report-json", tmp_path).read_text())
    collection = Collection.open(Settings().collection)
    made = read_image(next((collection.path / "examples").glob("1-*.png")))
    again = Attributor(collection).attribute(made, Settings().top)
    assert told["attribution"]["top"][0]["id"] == again.credits[0].id
    assert len(told["attribution"]["top"]) == Settings().top
    assert sum(t["influence"] for t in told["attribution"]["top"]) + told["attribution"][
        "rest"
    ] == pytest.approx(1)
    assert told["query"]["recipe"]["generator_sha256"]

    report = saved(opened, "#report-html", tmp_path)
    assert report.name.endswith("-report.html")
    page, asked = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark"), []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda message: asked.append(message.text))
    page.goto(report.as_uri())
    expect(page.locator("h1").first).to_contain_text(told["headline"])
    assert page.locator(".card").count() == 12
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    page.add_style_tag(content=".first ~ * { display: none }")
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1, "the answer is one sheet, the appendix follows"
    page.close()


def _copied(page: Page) -> str:
    """Copy the link; again where the tab is drawn anew after the click, which takes the words back."""
    for _ in range(10):
        page.locator("#copy-link").click()
        with suppress(AssertionError):
            expect(page.locator("#copied")).to_contain_text("Link copied", timeout=2000)
            return page.locator("#link textarea").input_value()
    raise AssertionError("the words 'Link copied' never came")


def test_a_link_opens_the_same_result(opened: Page, tmp_path: Path) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    generate(opened)
    made = read_image(saved(opened, "#png", tmp_path))
    tab(opened, "Attribution", "By image")
    methods = Collection.open(Settings().collection).methods
    expect(opened.locator("#headline")).to_contain_text(PROMPT)
    before = opened.locator("#headline").inner_text()
    choose(opened, "method", methods[1])
    # Another method is another link: what is drawn for it takes the words "Link copied" back.
    expect(opened.locator("#headline")).not_to_have_text(before, use_inner_text=True)
    tab(opened, "Generate")
    address = _copied(opened)
    assert opened.evaluate("navigator.clipboard.readText()") == address
    assert "seed=5" in address and "steps=6" in address

    other = opened.context.new_page()
    other.goto(address)
    expect(other.locator("#status")).to_contain_text(f"“{PROMPT}” · seed 5 · 6 steps")
    expect(other.locator("#prompt textarea")).to_have_value(PROMPT)
    unfold(other, "recipe-fold")
    expect(other.locator("#seed input")).to_have_value("5")
    expect(other.locator("#steps input[type=number]")).to_have_value("6")
    assert read_image(saved(other, "#png", tmp_path)).tobytes() == made.tobytes()
    tab(other, "Attribution", "By image")
    expect(other.locator("#method input")).to_have_value(methods[1])
    told = json.loads(saved(other, "#report-json", tmp_path).read_text())
    assert told["collection"]["method"] == methods[1]
    assert told["attribution"]["encoder"] == Collection.open(Settings().collection, methods[1]).encoder_name
    other.close()
    # Without a clipboard it stands in a field.
    opened.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    opened.locator("#copy-link").click()
    expect(opened.locator("#copied")).to_contain_text("Copy the link from the field")
    assert opened.locator("#link textarea").input_value() == address


@pytest.mark.parametrize(
    ("end", "words"),
    [("?prompt=cat&seed=many", "many"), ("?prompt=cat&method=<i>none", "<i>none")],
)
def test_a_bad_link_is_a_toast_over_the_usual_page(page: Page, pocket_app: str, end: str, words: str) -> None:
    page.goto(f"{pocket_app}/{end}")
    expect(page.get_by_test_id("toast-body")).to_contain_text(words)
    expect(page.locator("#status")).to_contain_text("seed")
    expect(page.locator("#history-box")).to_be_hidden()


def test_a_link_without_a_prompt_makes_nothing(page: Page, pocket_app: str) -> None:
    page.goto(f"{pocket_app}/?seed=5&steps=9")
    expect(page.locator("#status")).to_contain_text("seed")
    expect(page.locator("#status")).not_to_contain_text("9 steps")
    expect(page.locator("#history-box")).to_be_hidden()
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


def test_a_link_of_another_generator_says_so(page: Page, pocket_app: str) -> None:
    page.goto(f"{pocket_app}/?prompt={quote('<b>star</b>, noto style')}&seed=3&steps=3&generator=00000")
    expect(page.locator("#status")).to_contain_text("“<b>star</b>, noto style” · seed 3 · 3 steps")
    expect(page.locator("#status")).to_contain_text("another generator")


def test_a_png_dropped_back_restores_its_recipe_and_others_leave_the_fields_alone(
    opened: Page, tmp_path: Path
) -> None:
    expect(opened.locator("#status")).to_contain_text("seed")
    before = opened.locator("#prompt textarea").input_value()
    upload(opened, shape_image(7), tmp_path / "seven.png")
    expect(opened.locator("#status")).to_contain_text("“seven”")
    assert opened.locator("#prompt textarea").input_value() == before
    expect(opened.locator("#copy-link")).to_be_hidden()

    generate(opened)
    file = saved(opened, "#png", tmp_path)
    opened.locator("#examples .thumbnail-item").nth(1).click()
    expect(opened.locator("#prompt textarea")).not_to_have_value(PROMPT)
    hand_over(opened, file)
    expect(opened.locator("#status")).to_contain_text("This PNG carries its recipe")
    expect(opened.locator("#status")).to_contain_text(f"“{PROMPT}” · seed 5 · 6 steps")
    expect(opened.locator("#prompt textarea")).to_have_value(PROMPT)
    expect(opened.locator("#seed input")).to_have_value("5")
    expect(opened.locator("#steps input[type=number]")).to_have_value("6")
    # One of another generator says so, has no link, and its fields hold what they usually do not.
    save_png(
        shape_image(4),
        tmp_path / "other.png",
        Recipe("a shape", 2**32 - 1, 120, 12.5, "elsewhere", "0" * 64).to_dict(),
    )
    hand_over(opened, tmp_path / "other.png")
    expect(opened.locator("#status")).to_contain_text("another generator")
    expect(opened.locator("#seed input")).to_have_value(str(2**32 - 1))
    expect(opened.locator("#steps input[type=number]")).to_have_value("120")
    expect(opened.locator("#copy-link")).to_be_hidden()
    opened.locator("#generate").click()  # and the widened fields are taken as they stand
    expect(opened.locator("#status")).to_contain_text("of 120")
    opened.locator("#stop").click()
    expect(opened.locator("#status")).to_contain_text("Stopped")


def test_an_earlier_image_comes_back_as_it_was(own: Page, tmp_path: Path) -> None:
    expect(own.locator("#history-box")).to_be_hidden()
    for count, seed in enumerate((7, 9), 1):
        upload(own, shape_image(seed), tmp_path / f"shape {seed}.png", claimed=True)
        history(own, count)  # an image that is claimed is no new one
    tab(own, "Attribution", "By image")
    choose(own, "method", "flatter")
    expect(own.locator("#headline .spread")).to_have_count(1)
    history(own, 2)  # the same image by another method is no new one
    # By keyboard: the older one, which was attributed by the collection's own method.
    own.locator("#history .thumbnail-item").nth(1).focus()
    own.keyboard.press("Enter")
    expect(own.locator("#headline")).to_contain_text("Image: “shape 7”")
    expect(own.locator("#headline .found")).to_have_count(1)
    expect(own.locator("#method input")).to_have_value("own")
    own.locator("#history .thumbnail-item").nth(0).click()
    expect(own.locator("#headline")).to_contain_text("Image: “shape 9”")
    expect(own.locator("#method input")).to_have_value("flatter")
    history(own, 2)

    tab(own, "Attribution", "By maker")
    expect(own.locator("#ledger-words")).to_contain_text("holds 2 images")
    rows = list(csv.DictReader(io.StringIO(saved(own, "#ledger-csv", tmp_path).read_text())))
    assert [(r["title"], r["method"]) for r in rows if r["row"] == "query"] == [
        ("shape 7", "own"),
        ("shape 9", "flatter"),
    ]
    assert sum(float(r["influence"]) for r in rows if r["row"] == "creator") == pytest.approx(1)
    told = json.loads(saved(own, "#ledger-json", tmp_path).read_text())
    assert [q["top_1_id"] for q in told["queries"]] == ["shape/0007", "shape/0009"]


def test_a_click_while_the_image_is_attributed_waits_for_it(
    own: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attribute, clicked = Services.attribute, threading.Event()

    def late(*arguments: Any) -> Attribution:
        assert clicked.wait(PATIENCE_MS / 1000)
        time.sleep(0.5)  # a click that did not wait would be answered by now
        return attribute(*arguments)

    def reported() -> dict[str, Any]:
        own.wait_for_function("window.underWay?.size")
        tab(own, "Attribution", "By image")
        with own.expect_download() as download:
            own.locator("#report-json").click()
            clicked.set()
        report: dict[str, Any] = json.loads(download.value.path().read_text())
        return report

    monkeypatch.setattr(Services, "attribute", late)
    upload(own, shape_image(7), tmp_path / "seven.png")
    assert reported()["attribution"]["top"][0]["id"] == "shape/0007"
    # Of two the later one, not the one that is still on the page.
    clicked.clear()
    upload(own, shape_image(9), tmp_path / "nine.png")
    assert reported()["attribution"]["top"][0]["id"] == "shape/0009"


def test_nothing_to_take_away_yet_is_a_toast_and_at_once_after_an_image_that_was_refused(
    own: Page, tmp_path: Path
) -> None:
    def asked() -> None:
        tab(own, "Attribution", "By image")
        own.locator("#report-html").click()
        expect(own.get_by_test_id("toast-body")).to_contain_text("There is nothing to report yet")
        dismiss(own)

    asked()
    tab(own, "Evidence", "Compare")
    expect(own.locator("#compare-words")).to_contain_text("Nothing to compare yet")
    (tmp_path / "bad.png").write_bytes(b"no image")
    hand_over(own, tmp_path / "bad.png")
    expect(own.get_by_test_id("toast-body")).to_contain_text("cannot be read as an image")
    dismiss(own)
    asked()


def test_compare_tells_equal_from_different(own: Page, tmp_path: Path) -> None:
    for count, seed in enumerate((7, 9), 1):
        upload(own, shape_image(seed), tmp_path / f"{seed}.png")
        history(own, count)
    tab(own, "Evidence", "Compare")
    # One index and one encoder at two temperatures: the same images in one order, with other shares.
    expect(own.locator("#compare-words")).to_contain_text("12 of the first 12 images are on both sides")
    expect(own.locator("#compare-words")).to_contain_text("Each method has its own scale")
    expect(own.locator("#compare-tiles")).to_contain_text("100%")
    first = own.locator("#left-compare-gallery img").first
    expect(first).to_have_attribute("alt", re.compile(r"^[\d.]+ · \w+ \w+, \w+ style, by "))
    choose(own, "right-compare-method", "own")
    expect(own.locator("#compare-words")).to_contain_text("Identical: the same 12 images")
    expect(own.locator("#compare-tiles")).to_contain_text("+1.00")
    expect(own.locator("#slopes .main-svg").first).to_be_visible()
    choose(own, "right-query", "1: 7")
    expect(own.locator("#compare-words")).to_contain_text("their similarities can be compared")
    expect(own.locator("#right-compare-words")).to_contain_text("“7”")
    top = own.locator("#compare-top input[type=number]")
    top.fill("1")
    top.press("Enter")
    top.blur()
    expect(own.locator("#compare-words")).to_contain_text("The first images differ")
    expect(own.locator("#left-compare-gallery .thumbnail-item")).to_have_count(1)
    # "The image shown now" follows when an earlier one is brought back.
    own.locator("#history .thumbnail-item").nth(1).click()
    expect(own.locator("#compare-words")).to_contain_text("Identical")


def test_two_collections_side_by_side(page: Page, two_app: str, tmp_path: Path) -> None:
    for own in watched(page, two_app):
        upload(own, shape_image(7), tmp_path / "seven.png")
        history(own, 1)
        tab(own, "Evidence", "Compare")
        expect(own.locator("#compare-words")).to_contain_text("Identical")
        choose(own, "right-collection", "Shapes (many)")
        expect(own.locator("#compare-words")).to_contain_text(
            "shares of different collections cannot be compared"
        )
        expect(own.locator("#right-compare-words")).to_contain_text("No shares, because nothing shows")
        # Shape 7 is in both, and its file is the same; the larger collection has other near ones as well.
        expect(own.locator("#compare-tiles")).to_contain_text("the same image")
        expect(own.locator("#right-compare-gallery img")).to_have_count(12)
