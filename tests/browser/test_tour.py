"""In a browser: the tour, embedded in another page, from its first stop to its end."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser import saved


def test_an_embedded_tour_goes_through_three_stops(opened: Page, pocket_app: str) -> None:
    opened.goto(f"{pocket_app}?embed&tour")
    expect(opened.locator("#tour-1 .tour-stop h2")).to_be_visible()
    expect(opened.locator("#head")).to_be_hidden()
    expect(opened.locator("footer")).to_be_hidden()
    opened.locator("#tour-next-1").click()
    expect(opened.locator("#tour-2 .tour-stop img")).to_have_count(3)
    opened.locator("#tour-next-2").click()
    expect(opened.locator("#tour-3 .tour-stop h2")).to_contain_text("drew a training image again")
    opened.locator("#tour-close").click()
    expect(opened.locator("#tour")).to_be_hidden()
    assert "tour" not in opened.url and "embed" in opened.url


def test_the_link_in_the_head_starts_the_tour_and_the_handout_is_saved(opened: Page, tmp_path: Path) -> None:
    expect(opened.locator("#tour")).to_be_hidden()
    opened.locator("#take-tour").click()
    expect(opened.locator("#tour-1 .tour-stop h2")).to_be_visible()
    page = saved(opened, "#tour-handout", tmp_path).read_text(encoding="utf-8")
    assert page.count('<section class="stop">') == 3 and "<script" not in page
