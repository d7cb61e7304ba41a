"""In a browser: the app over a collection from released files, which holds captions and links and no pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import listed, tab, watched
from tests.support.fakes import shape_image


@pytest.fixture
def released(page: Page, released_app: str) -> Iterator[Page]:
    yield from watched(page, released_app)


def test_the_page_shows_tiles_captions_and_links(released: Page, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "mine.png")
    released.locator("#upload input[type=file]").set_input_files(tmp_path / "mine.png")
    tab(released, "Attribution")
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
    for name, drawn in (
        ("Scores", "#histogram .main-svg"),
        ("Credit", "#credit-words"),
        ("Memorization", "body"),
        ("Compare", "#compare-words"),
    ):
        tab(released, name)
        expect(released.locator(drawn).first).to_be_visible()
    expect(released.locator(".toast-body")).to_have_count(0)
