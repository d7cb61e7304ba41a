"""The page holds still while it fills, and on a phone what is asked for rarely is a tap away."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_every_tab import DRAWN, PARTS
from tests.support.browser import listed, tab

MOST = 0.05
"""Of the cumulative layout shift in one step; web.dev calls up to 0.1 good."""
# Shifts that follow a tap count too: a slow line brings them later than the half second that browsers excuse.
WATCH = """window.shifts = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries())
    window.shifts.push([one.value, one.sources.map(({node}) => node?.closest?.('[id]')?.id ?? node?.nodeName)]);
}).observe({type: 'layout-shift', buffered: true});"""


def jumps(page: Page, step: str) -> list[tuple[str, float, list[list[str]]]]:
    """What moved since the last call, if that was too much."""
    page.wait_for_timeout(700)  # what comes late may still move, and the observer reports after the frame
    shifts = page.evaluate("window.shifts.splice(0)")
    moved = sum(value for value, _ in shifts)
    return [(step, moved, [what for _, what in shifts])] if moved > MOST else []


# A label is part of what it labels. Gradio's upload takes files on all of its face.
SMALL = """() => [...document.querySelectorAll('button, summary, input, textarea')].filter((one) =>
    one.offsetParent && !['file', 'range'].includes(one.type)).filter((one) => {
  const {width, height} = (['radio', 'checkbox'].includes(one.type) && one.labels[0] || one).getBoundingClientRect();
  return Math.min(width, height) < 44;
}).map((one) => one.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_nothing_jumps_and_fingers_find_everything(
    browser: Browser, pocket_app: str, width: int, height: int
) -> None:
    phone = width < 700
    page = browser.new_page(viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone)
    page.add_init_script(WATCH)
    page.goto(pocket_app)
    expect(page.locator("#reveal .sources img").first).to_be_visible()
    expect(page.locator("#examples img").last).to_be_visible()
    found: list[Any] = jumps(page, "loading")
    for name, part in PARTS:
        tab(page, name, part)
        expect(page.locator(DRAWN[part or name][-1]).last).to_be_visible()
        found += jumps(page, part or name)
        if phone:
            found += [(part or name, "too small", one) for one in page.evaluate(SMALL)]
    page.close()
    assert found == []


def test_the_rest_of_the_verdict_is_a_tap_away_on_a_phone_alone(page: Page, pocket_app: str) -> None:
    page.goto(pocket_app)
    for name, box in (("Attribution", "#headline"), ("Memorization", ".headline.joined")):
        tab(page, name)
        rest, more = page.locator(f"{box} details p").last, page.locator(f"{box} summary")
        page.set_viewport_size({"width": 1280, "height": 800})
        expect(rest).to_be_visible()
        expect(more).to_be_hidden()
        page.set_viewport_size({"width": 390, "height": 844})
        expect(rest).to_be_hidden()
        assert (more.bounding_box() or {})["height"] >= 44
        more.click()
        expect(rest).to_be_visible()


def test_on_a_phone_a_chosen_image_opens_as_a_sheet_that_closes_back(page: Page, pocket_app: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(pocket_app)
    tab(page, "Attribution", "By image")
    sheet, seventh = page.locator("#details"), listed(page).nth(6)
    expect(seventh).to_be_visible()
    expect(sheet).to_be_hidden()
    for close in (
        lambda: sheet.get_by_role("button", name="Close").click(),
        lambda: page.keyboard.press("Escape"),
        lambda: page.mouse.click(195, 5),
        page.go_back,
    ):
        seventh.click()
        expect(sheet.locator("#facts")).to_contain_text("7 of ")
        expect(page.get_by_role("dialog", name="Training image")).to_be_in_viewport()
        close()
        expect(sheet).to_be_hidden()
        expect(seventh).to_be_in_viewport()
    seventh.click()
    sheet.get_by_role("link", name="More like this").click()
    expect(page.locator("#set-words-found")).to_contain_text("training images most like")
    expect(sheet).to_be_hidden()
    chosen = page.locator("#tabs > .tab-wrapper [aria-selected=true]")
    for before in ("Attribution", "Generate"):  # no step of Back is left for the sheet
        page.go_back()
        expect(chosen).to_have_text(before)
        expect(sheet).to_be_hidden()
    page.set_viewport_size({"width": 1280, "height": 800})
    tab(page, "Attribution", "By image")
    expect(sheet).to_be_visible()
    expect(page.locator("#close-details")).to_be_hidden()
