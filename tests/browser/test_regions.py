"""The tab Regions in a browser: by numbers, by clicks, by painting, on a phone, and through the API."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import tab, upload
from tests.support.fakes import shape_image


def two_shapes() -> Image.Image:
    """Training image 7 in the top left quarter, 12 in the bottom right one."""
    image = Image.new("RGB", (128, 128), "white")
    image.paste(shape_image(7), (0, 0))
    image.paste(shape_image(12), (64, 64))
    return image


def test_a_box_by_numbers_and_by_clicks_finds_what_is_in_it(own: Page, tmp_path: Path) -> None:
    tab(own, "Attribution", "By region")
    expect(own.locator("#grid-words")).to_contain_text("Nothing to look at yet")
    own.locator("#look-box").click()
    expect(own.get_by_test_id("toast-body")).to_contain_text("There is no image yet")
    upload(own, two_shapes(), tmp_path / "two.png")
    tab(own, "Attribution", "By image")
    expect(own.locator("#headline")).to_contain_text("“two”")
    tab(own, "Attribution", "By region")
    expect(own.locator("#region-preview img")).to_be_visible()
    # With the keyboard alone: numbers, Tab, Enter.
    for name, value in (("left", 0), ("right", 50), ("top", 0), ("bottom", 50)):
        own.locator(f"#region-{name} input[type=number]").fill(str(value))
        own.keyboard.press("Tab")
    own.locator("#look-box").focus()
    own.keyboard.press("Enter")
    expect(own.locator("#region-found")).to_contain_text(
        "(25% of the image) is closest to “black circle, flat style”"
    )
    expect(own.locator("#region-gallery .thumbnail-item")).to_have_count(12)
    first = own.locator("#region-gallery img").first
    expect(first).to_have_attribute("alt", re.compile(r"^[\d.]+ · black circle, flat style, by "))
    expect(own.locator("#region-cut img")).to_have_attribute("alt", "the chosen part of “two”")
    own.locator("#region-table-fold button").first.click()
    expect(own.locator("#region-table")).to_contain_text("shape/0007")
    # Two clicks, from corner to corner.
    picture = own.locator("#region-preview img")
    picture.scroll_into_view_if_needed()
    spot = picture.bounding_box()
    assert spot is not None
    side = min(spot["width"], spot["height"])
    left, top = spot["x"] + (spot["width"] - side) / 2, spot["y"] + (spot["height"] - side) / 2
    without = picture.get_attribute("src") or ""
    own.mouse.click(left + side - 2, top + side - 2)
    expect(picture).not_to_have_attribute("src", without)  # the corner is marked
    expect(own.locator("#region-left input[type=number]")).to_have_value("0")
    own.mouse.click(left + side / 2, top + side / 2)
    expect(own.locator("#region-right input[type=number]")).not_to_have_value("50")
    assert abs(float(own.locator("#region-left input[type=number]").input_value()) - 50) <= 2
    own.locator("#look-box").click()
    expect(own.locator("#region-found")).to_contain_text("purple square, flat style")
    # An edge on the wrong side.
    own.locator("#region-right input[type=number]").fill("10")
    own.locator("#region-right input[type=number]").blur()
    expect(own.locator("#region-wrong")).to_contain_text("left edge must lie left of its right one")
    own.locator("#look-box").click()
    expect(own.get_by_test_id("toast-body").filter(has_text="must lie left")).to_be_visible()
    own.locator("#regions-know button").first.click()
    expect(own.locator("#regions-measured")).to_contain_text("was not measured")


def _painted(page: Page, canvas: Locator) -> str:
    """Paint a line and ask about it; again where the editor did not take it yet, which says nothing of when it will."""
    for _ in range(10):
        canvas.scroll_into_view_if_needed()  # the button below it may have scrolled it away
        spot = canvas.bounding_box()
        assert spot is not None
        x, y = spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2
        page.mouse.move(x - 40, y)
        page.mouse.down()
        page.mouse.move(x + 40, y, steps=6)
        page.mouse.up()
        page.locator("#look-paint").click()
        with suppress(AssertionError):
            expect(page.locator("#region-found")).to_contain_text("The painted part", timeout=3000)
            return page.locator("#region-found").inner_text()
    raise AssertionError("what was painted was never looked at")


def test_what_is_painted_is_looked_at_and_stays_when_the_tab_is_left(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    tab(opened, "Attribution", "By region")
    expect(opened.locator("#grid-map .main-svg").first).to_be_visible()
    expect(opened.locator("#grid-words")).to_contain_text(
        re.compile(r"Closest to \d+ of \d+ fields \(\d+%\): ")
    )
    opened.get_by_label("by painting").check()
    canvas = opened.locator("#region-paint canvas").first
    expect(canvas).to_be_visible()
    opened.locator("#look-paint").click()
    expect(opened.get_by_test_id("toast-body")).to_contain_text("painted")
    before = _painted(opened, canvas)
    tab(opened, "Scores")
    tab(opened, "Attribution", "By region")
    expect(opened.locator("#region-found")).to_be_visible()
    opened.get_by_label("style", exact=True).last.check()
    cells = opened.locator("#grid-cells input[type=number]")
    cells.fill("7")
    cells.press("Enter")
    cells.blur()
    expect(opened.locator("#grid-words")).to_contain_text("): style “")
    expect(opened.locator("#grid-words")).to_contain_text(re.compile(r"of (2[0-9]|3[0-9]|4[0-9]) fields"))
    # What coming back draws anew was drawn before these.
    expect(opened.locator("#region-found")).to_have_text(before, use_inner_text=True)
    opened.locator("#regions-know button").first.click()
    expect(opened.locator("#regions-measured")).to_contain_text("box off by 25%")
