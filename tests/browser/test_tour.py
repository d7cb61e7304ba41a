"""In a browser: the tour, embedded in another page, from its first stop to its end."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser import saved

CHOSEN = "#tour-steps [aria-selected=true]"
TAB = "#tabs > .tab-wrapper [aria-selected=true]"


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


def test_the_link_in_the_head_starts_the_tour_and_the_handout_is_saved(
    opened: Page, pocket_app: str, tmp_path: Path
) -> None:
    expect(opened.locator("#tour")).to_be_hidden()
    opened.locator("#take-tour").click()
    expect(opened.locator("#tour-1 .tour-stop h2")).to_be_visible()
    page = saved(opened, "#tour-handout", tmp_path).read_text(encoding="utf-8")
    assert f"{pocket_app}/?tour" in page, "where it was made"
    assert page.count('<section class="stop">') == 3 and "<script" not in page


def test_each_stop_is_a_step_of_the_browsers_history(opened: Page, pocket_app: str) -> None:
    opened.locator("#take-tour").click()
    expect(opened).to_have_url(f"{pocket_app}/?tour=1")
    opened.locator("#tour-next-1").click()
    expect(opened.locator(CHOSEN)).to_contain_text("It fails")
    opened.locator("#tour-steps [role=tab]").first.click()
    expect(opened).to_have_url(f"{pocket_app}/?tour=1")
    opened.go_back()
    expect(opened.locator(CHOSEN)).to_contain_text("It fails")
    opened.locator("#tour-back-2").click()
    expect(opened.locator(CHOSEN)).to_contain_text("It works")
    opened.go_back()
    expect(opened.locator("#tour")).to_be_hidden()
    assert opened.url.rstrip("/") == pocket_app


def test_a_link_to_the_last_stop_leads_back_and_to_what_to_do_next(opened: Page, pocket_app: str) -> None:
    opened.goto(f"{pocket_app}/?tour=99")  # there is none of that number, so the last
    opened.locator("#tour-back-3").click()
    expect(opened).to_have_url(f"{pocket_app}/?tour=2")
    opened.locator("#tour-next-2").click()
    opened.locator("#tour-artwork").click()
    expect(opened.locator(TAB)).to_have_text("My artwork")
    expect(opened.locator("#tour")).to_be_hidden()
    opened.go_back()
    opened.locator("#tour-own").click()
    expect(opened.locator(TAB)).to_have_text("Generate")
    expect(opened.locator("#tour")).to_be_hidden()


def test_the_labels_of_the_stops_stand_inside_the_margin(opened: Page) -> None:
    opened.locator("#take-tour").click()
    outer = opened.locator("#tour-steps").bounding_box()
    labels = [one.bounding_box() for one in opened.locator("#tour-steps .step-label").all()]
    assert outer is not None and len(labels) == 3
    for box in labels:
        assert (
            box is not None
            and outer["x"] <= box["x"]
            and box["x"] + box["width"] <= outer["x"] + outer["width"]
        )
