"""The tab Second opinion in a browser: progress and stop with the generator that ships, the result with a tiny one."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser import generate, tab, upload, watched
from tests.support.fakes import shape_image


def test_a_stopped_one_leaves_nothing(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    tab(opened, "Attribution", "Second opinion")
    expect(opened.locator("#opinion-status")).to_contain_text("Judges the first 50 images of the list for")
    expect(opened.locator("#stop-opinion")).to_be_hidden()  # nothing runs
    opened.locator("#ask-opinion").click()
    expect(opened.locator("#opinion-status [role=progressbar]")).to_be_visible()
    expect(opened.locator("#opinion-status")).to_contain_text("seconds left")
    opened.locator("#stop-opinion").click()
    expect(opened.locator("#opinion-status")).to_contain_text("Stopped")
    expect(opened.locator("#stop-opinion")).to_be_hidden()
    expect(opened.locator("#opinion-words")).to_be_hidden()
    opened.wait_for_timeout(1000)  # a stop counts as a failure, too, which must not take the word back
    expect(opened.locator("#opinion-status")).to_contain_text("Stopped")
    opened.locator("#ask-opinion").click()  # and once more
    expect(opened.locator("#opinion-status [role=progressbar]")).to_be_visible()
    opened.locator("#stop-opinion").click()
    expect(opened.locator("#opinion-status")).to_contain_text("Stopped")
    tab(opened, "Generate")
    generate(opened, "green apple, noto style", 4)
    tab(opened, "Attribution", "Second opinion")
    expect(opened.locator("#opinion-status")).to_contain_text("green apple")


def test_two_rankings_side_by_side_until_there_is_another_image(
    page: Page, shapes_app: str, tmp_path: Path
) -> None:
    for shapes in watched(page, shapes_app):
        status, words = shapes.locator("#opinion-status"), shapes.locator("#opinion-words")
        generate(shapes, "red cat")
        tab(shapes, "Attribution", "Second opinion")
        expect(status).to_contain_text("red cat")
        shapes.locator("#ask-opinion").click()
        expect(status).to_contain_text("Done")
        expect(words.locator("h2")).to_be_visible()
        for gallery in ("#opinion-similarity", "#opinion-unlearning"):
            expect(shapes.locator(f"{gallery} .thumbnail-item")).to_have_count(8)
        expect(shapes.locator("#opinion-tiles")).to_contain_text("Spearman's correlation")
        expect(shapes.locator("#headline")).to_contain_text("Second opinion: ")
        expect(shapes.locator("#opinion-map .main-svg").first).to_be_visible()
        shapes.locator("#opinion-table-fold button").first.click()
        expect(shapes.locator("#opinion-table")).to_contain_text("drawn at random")
        # Another image: what was said of the first is gone.
        tab(shapes, "Generate")
        generate(shapes, "blue dog")
        tab(shapes, "Attribution", "Second opinion")
        expect(words).to_be_hidden()
        expect(status).to_contain_text("blue dog")
        expect(shapes.locator("#headline")).not_to_contain_text("Second opinion: ")
        # An upload has none.
        upload(shapes, shape_image(5), tmp_path / "five.png")
        tab(shapes, "Attribution", "By image")
        expect(shapes.locator("#headline")).to_contain_text("“five”")
        tab(shapes, "Attribution", "Second opinion")
        expect(status).to_contain_text("needs an image that was generated here")
        expect(shapes.locator("#ask-opinion")).to_be_disabled()
