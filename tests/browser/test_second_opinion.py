"""The tab Second opinion in a browser: progress, result, stop; and why it is not given."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser import generate, tab
from tests.support.fakes import shape_image


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
