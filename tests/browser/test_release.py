"""In a browser: the app over a collection from released files, which holds captions and links and no pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import claim, hand_over, listed, tab, watched
from tests.support.fakes import shape_image


@pytest.fixture
def released(page: Page, released_app: str) -> Iterator[Page]:
    yield from watched(page, released_app)


def test_the_page_shows_tiles_captions_and_links(released: Page, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "mine.png")
    hand_over(released, tmp_path / "mine.png")
    tab(released, "Attribution", "By image")
    expect(released.locator("#headline")).to_contain_text("shape 7 & co")
    expect(listed(released)).to_have_count(12)
    size = "image => image.complete && image.naturalWidth"
    released.wait_for_function("() => document.querySelector('#gallery img')?.naturalWidth > 0")
    assert released.locator("#gallery img").first.evaluate(size) == 320
    facts = released.locator("#facts")
    expect(facts).to_contain_text("not stored in this collection")
    link = facts.get_by_role("link", name="see it at its source")
    expect(link).to_have_attribute("href", "https://images.example.org/7.jpg")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    claim(released, "mine")
    for name, drawn in (
        ("Scores", "#histogram .main-svg"),
        ("Memorization", "body"),
        ("Training set", "#set-grid img"),
    ):
        tab(released, name)
        expect(released.locator(drawn).first).to_be_visible()
    tab(released, "Attribution", "By maker")
    expect(released.locator("#credit-words")).to_be_visible()
    tab(released, "Evidence", "Compare")
    expect(released.locator("#compare-words")).to_be_visible()
    expect(released.locator(".toast-body")).to_have_count(0)
