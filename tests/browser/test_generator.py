"""The page with a generator that is not the collection's own, and whose safety checker blacks out every image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from attribution_core.common.cards import write_card
from attribution_core.settings import Settings
from tests.support.browser import start, unfold, watched
from tests.support.tiny_large_pipelines import with_safety_checker
from tests.support.tiny_pipeline import make_clip_like


@pytest.fixture(scope="module")
def checked_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("generators")
    generator = with_safety_checker(make_clip_like(folder / "plain"), folder / "checked")
    write_card(generator, {"default_steps": 1, "default_guidance": 0.0})
    yield from start(Settings(port=0, generator=str(generator), device="cpu"))


@pytest.fixture
def checked(page: Page, checked_app: str) -> Iterator[Page]:
    yield from watched(page, checked_app)


def test_a_blacked_out_image_is_shown_and_told_and_not_attributed(checked: Page) -> None:
    expect(checked.get_by_text("Images by the collection's own generator")).to_be_visible()
    unfold(checked, "recipe-fold")
    for name, value in (("steps", "1"), ("guidance", "0")):
        expect(checked.locator(f"#{name} input[type=number]")).to_have_value(value)
    checked.locator("#generate").click()
    expect(checked.locator("#status")).to_contain_text("1 step · guidance 0")
    expect(checked.locator("#status")).to_contain_text("safety checker flagged this image as unsafe")
    expect(checked.get_by_test_id("toast-body")).to_contain_text("safety checker")
    expect(checked.get_by_text("This visit, latest first")).to_be_hidden()
    expect(checked.locator("#generate")).to_be_enabled()
