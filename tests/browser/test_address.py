"""In a browser: the address bar carries tab and result, so that Back, reload and a link come back to what was seen."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.support.browser import generate, tab

CHOSEN = "#tabs > .tab-wrapper [aria-selected=true]"


def test_back_and_reload_return_to_tab_and_result(opened: Page, pocket_app: str) -> None:
    expect(opened.locator("#reveal li")).to_have_count(4)
    assert opened.url.rstrip("/") == pocket_app, "the page's own example needs no address"
    generate(opened, "house, noto style", 3)
    expect(opened).to_have_url(re.compile(r"prompt=house%2C\+noto\+style&seed=3&steps=6"))
    tab(opened, "Scores")
    expect(opened).to_have_url(re.compile("tab=scores"))
    opened.go_back()
    expect(opened.locator(CHOSEN)).to_have_text("Generate")
    opened.go_forward()
    expect(opened.locator(CHOSEN)).to_have_text("Scores")

    opened.reload()
    expect(opened.locator("#sentence")).to_contain_text("For “house, noto style”")
    expect(opened.locator(CHOSEN)).to_have_text("Scores")
    expect(opened).to_have_url(re.compile("seed=3"))


def test_back_from_a_result_shows_the_one_before(opened: Page) -> None:
    expect(opened.locator("#reveal li")).to_have_count(4)
    first = opened.locator("#status").inner_text()
    generate(opened, "house, noto style", 3)
    expect(opened).to_have_url(re.compile("prompt=house"))
    opened.go_back()
    expect(opened.locator("#status")).to_have_text(first)


def test_a_tab_that_is_not_there_is_the_first(opened: Page, pocket_app: str) -> None:
    opened.goto(f"{pocket_app}/?tab=%3Cscript%3E")
    expect(opened.locator("#reveal li")).to_have_count(4)
    expect(opened.locator(CHOSEN)).to_have_text("Generate")
