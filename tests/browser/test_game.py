"""In a browser: the game on the tab Memorization, from two pictures to the verdict on one of them."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from attribution_core.corpus.corpus import Corpus
from attribution_core.settings import Settings
from tests.support.browser import tab


def test_two_pictures_one_tap_and_the_verdict(opened: Page) -> None:
    corpus = Corpus.open(Settings().collection / "corpus")
    planted = corpus.column("planted").count("planted")
    tab(opened, "Memorization")
    expect(opened.locator("#game-words")).to_contain_text(f"memorize {planted} pictures")
    words, play = (opened.locator(one).bounding_box() for one in ("#game-words", "#game-deal"))
    assert (
        words and play and play["y"] - words["y"] - words["height"] < 20
    )  # nothing is said yet, and no gap left for it
    opened.locator("#game-deal").click()
    for side in ("left", "right"):
        expect(opened.locator(f"#game-{side} img")).to_be_visible()
    said = opened.locator("#game-said")
    expect(said).to_contain_text("which one is the original?")
    expect(opened.locator("#game-deal")).to_be_hidden()
    caption = said.inner_text().split("“")[1].split("”")[0]
    for side in ("left", "right"):  # the words give nothing away to those who cannot see the pictures
        expect(opened.locator(f"#game-{side} img")).to_have_attribute("alt", f"the {side} picture: {caption}")

    opened.locator("#pick-left").click()
    expect(said).to_contain_text("of 1 right in this visit")
    side = said.inner_text().split("is on the ")[1].split(".")[0]
    assert said.inner_text().startswith("Right" if side == "left" else "Wrong")
    other = {"left": "right", "right": "left"}[side]
    original = opened.locator(f"#game-{side} img")
    expect(original).to_have_attribute(
        "alt", re.compile(f"^the original: {re.escape(caption.split(',')[0])}")
    )
    expect(opened.locator(f"#game-{other} img")).to_have_attribute("alt", f"drawn by the model: {caption}")
    expect(opened.locator("#memorization-words")).to_contain_text(f"Image: “{caption}”")
    expect(opened.locator("#copy-blink img").first).to_be_visible()
    expect(opened.locator("#copy-blink img").first).to_have_attribute("alt", f"this image: {caption}")
    match = opened.locator("#copy-blink img").last.get_attribute("alt") or ""
    assert match.startswith("training image: ")
    expect(opened.locator("#copy-match img")).to_have_attribute("alt", match)
    expect(opened.locator("#pick-left")).to_be_hidden()

    opened.locator("#game-deal").click()
    expect(said).to_contain_text("which one is the original?")
    opened.locator("#pick-right").click()
    expect(said).to_contain_text("of 2 right in this visit")
