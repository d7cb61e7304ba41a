"""In a browser: the first screen, a prompt's style and seed, an image of unknown making, and the share card."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from attribution_core.reports.card import SIZE
from tests.support.browser import (
    choose,
    claim,
    dismiss,
    generate,
    hand_over,
    listed,
    saved,
    set_steps,
    tab,
    unfold,
    upload,
    watched,
)
from tests.support.fakes import shape_image
from ui.page import TABS


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_shows_prompt_image_and_four_sources(
    page: Page, pocket_app: str, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    for opened in watched(page, pocket_app):
        sources = opened.locator("#reveal li")
        expect(sources).to_have_count(4)
        for what in ("#prompt textarea", "#generate", "#made img", "#reveal h2"):
            expect(opened.locator(what)).to_be_in_viewport(ratio=1)
        for source in sources.all():
            expect(source).to_be_in_viewport(ratio=1)
            expect(source.locator("b")).to_contain_text("%")
            expect(source.locator("small")).to_contain_text(" · ")
        for what in ("#share-card", "#copy-link"):
            expect(opened.locator(what)).to_be_in_viewport(ratio=1)
        assert opened.evaluate("scrollY") == 0


@pytest.mark.parametrize("width", [390, 360])
def test_on_a_phone_every_tab_is_in_sight_in_two_rows(page: Page, pocket_app: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for opened in watched(page, pocket_app):
        tabs = opened.locator("#tabs > .tab-wrapper").get_by_role("tab")
        assert tabs.all_inner_texts() == [name for name, _ in TABS]
        assert len({(one.bounding_box() or {})["y"] for one in tabs.all()}) == 2
        for name, content in TABS:
            tab(opened, name)
            for one in tabs.all():
                expect(one).to_be_in_viewport(ratio=1)
            if not callable(content):
                parts = opened.locator(f"#{name.lower()}-parts > .tab-wrapper").get_by_role("tab")
                assert parts.all_inner_texts() == [part for part, _ in content]
                for part in parts.all():
                    expect(part).to_be_in_viewport(ratio=1)
        expect(opened.locator(".overflow-menu:visible")).to_have_count(0)


def test_no_word_under_a_source_is_cut_in_two(page: Page, pocket_app: str) -> None:
    page.set_viewport_size({"width": 360, "height": 844})
    for opened in watched(page, pocket_app):
        expect(opened.locator("#reveal li")).to_have_count(4)
        texts = opened.locator("#reveal li .name, #reveal li small")
        for text in texts.all():
            words = text.locator("span")
            # Where a text is too long, a browser leaves out a box as a whole.
            assert {one.evaluate("(word) => getComputedStyle(word).display") for one in words.all()} == {
                "inline-block"
            }
            assert words.all_text_contents() == (text.get_attribute("title") or "").split()


def test_the_whole_list_is_one_click_away(opened: Page) -> None:
    expect(opened.locator("#reveal li")).to_have_count(4)
    first = opened.locator("#reveal li .name").first.inner_text()
    tab(opened, "Evidence", "Compare")
    tab(opened, "Generate")
    opened.locator("#see").click()
    expect(listed(opened)).to_have_count(12)
    expect(opened.locator("#facts h3")).to_have_text(first)


def drawn(page: Page) -> str:
    """Generate once more; what the status says of it."""
    count = page.locator("#history .thumbnail-item").count()
    page.locator("#generate").click()
    expect(page.locator("#history .thumbnail-item")).to_have_count(count + 1)
    expect(page.locator("#status")).to_contain_text("· seed")
    return page.locator("#status").inner_text()


def test_a_prompt_without_a_style_gets_the_chosen_one(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    set_steps(opened, 2)
    choose(opened, "style", "noto")
    opened.locator("#prompt textarea").fill("a green apple")
    assert "“green apple, noto style”" in drawn(opened)
    expect(opened.locator("#prompt textarea")).to_have_value("a green apple")
    opened.locator("#prompt textarea").fill("green apple, fluent style")
    assert "“green apple, fluent style”" in drawn(opened)
    choose(opened, "style", "as written")
    opened.locator("#prompt textarea").fill("a green apple")
    assert "“a green apple”" in drawn(opened)
    opened.locator("#idea input").press_sequentially("rabbit")
    opened.locator("#idea input").press("Enter")
    expect(opened.locator("#prompt textarea")).to_have_value("rabbit")


def test_the_seed_is_new_each_time_until_it_is_kept(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    set_steps(opened, 2)
    seed = opened.locator("#seed input")

    def of_next() -> str:
        return re.findall(r"seed (\d+)", drawn(opened))[0]

    seeds = [of_next() for _ in range(3)]
    assert len(set(seeds)) == 3
    expect(seed).to_have_value(seeds[-1])
    opened.locator("#keep-seed input").check()
    assert of_next() == of_next() == seeds[-1]
    opened.locator("#dice").click()
    expect(seed).not_to_have_value(seeds[-1])
    assert of_next() == seed.input_value()


def test_while_an_image_is_made_what_it_comes_near_to_is_shown(opened: Page) -> None:
    expect(opened.locator("#reveal li")).to_have_count(4)
    set_steps(opened, 40)
    opened.locator("#generate").click()
    expect(opened.locator("#reveal h2")).to_have_text("Coming into being: nearest so far")
    expect(opened.locator("#reveal li")).to_have_count(4)
    expect(opened.locator("#status")).to_contain_text("· seed")
    expect(opened.locator("#reveal h2")).not_to_contain_text("so far")


SHARES = (
    ("Generate", "", "#reveal li"),
    ("Attribution", "By image", "#gallery img"),
    ("Attribution", "By maker", "#credit-words"),
    ("Scores", "", "#sentence"),
)


def test_an_image_of_unknown_making_has_no_shares_until_its_owner_says_so(own: Page, tmp_path: Path) -> None:
    def texts() -> list[str]:
        """What stands on the tabs that show shares, folds open."""
        seen = []
        for name, part, there in SHARES:
            tab(own, name, part)
            expect(own.locator(there).first).to_be_visible()
            if part == "By image":
                unfold(own, "table-fold")
                expect(own.locator("#table")).to_contain_text("shape/0007")
            seen.append(own.locator("#tabs").inner_text())
        return seen

    upload(own, shape_image(7), tmp_path / "seven.png")
    reveal = own.locator("#reveal")
    expect(reveal).to_contain_text("The most similar training image is “black circle, flat style” by Ben")
    expect(reveal).to_contain_text("similarity 1.00")
    expect(reveal).to_contain_text("the shares are not shares of influence")
    without = texts()
    assert not any("%" in text for text in without)
    assert "No shares for this image" in without[2] and "No shares for this image" in without[3]
    tab(own, "Evidence", "Compare")
    for side in ("left", "right"):
        expect(own.locator(f"#{side}-compare-words")).to_contain_text("No shares, because nothing shows")
    tab(own, "Attribution", "By region")
    own.locator("#look-box").click()
    expect(own.locator("#region-found")).to_contain_text("No shares for this image")
    tab(own, "Attribution", "By maker")
    own.locator("#ledger-csv").click()
    expect(own.get_by_test_id("toast-body")).to_contain_text("No image of this visit has shares")
    dismiss(own)

    claim(own, "seven")
    expect(own.locator("#headline")).to_contain_text("One training image stands out")
    expect(own.locator("#headline")).to_contain_text("because whoever asks says so")
    assert all("%" in text for text in texts())
    tab(own, "Evidence", "Compare")
    expect(own.locator("#left-compare-words")).to_contain_text("of the influence")
    expect(own.locator("#history .thumbnail-item")).to_have_count(1)

    tab(own, "Attribution", "By image")
    own.locator("#claim input").uncheck()
    expect(own.locator("#headline")).to_contain_text("The most similar training image")
    assert not any("%" in text for text in texts())


def test_what_was_made_here_has_shares_unasked_and_so_has_its_png(opened: Page, tmp_path: Path) -> None:
    generate(opened)
    made = saved(opened, "#png", tmp_path)
    tab(opened, "Attribution", "By image")
    expect(opened.locator("#headline")).to_contain_text("Made by the collection's own generator")
    expect(opened.locator("#claim")).to_be_hidden()
    upload(opened, shape_image(3), tmp_path / "three.png")
    expect(opened.locator("#reveal")).to_contain_text("The most similar training image")
    tab(opened, "Attribution", "By image")
    expect(opened.locator("#claim")).to_be_visible()
    hand_over(opened, made)
    expect(opened.locator("#reveal b").first).to_contain_text("%")
    tab(opened, "Attribution", "By image")
    expect(opened.locator("#claim")).to_be_hidden()


def test_without_an_image_there_is_nothing_to_share(own: Page) -> None:
    own.locator("#share-card").click()
    expect(own.get_by_test_id("toast-body")).to_contain_text("There is nothing to share yet")


def test_the_share_card_is_one_picture_that_can_be_posted(opened: Page, tmp_path: Path) -> None:
    expect(opened.locator("#reveal li")).to_have_count(4)
    path = saved(opened, "#share-card", tmp_path)
    assert path.name.endswith("-card.png")
    with Image.open(path) as card:
        assert (card.format, card.size) == ("PNG", SIZE) and SIZE == (1200, 630)
        assert len(card.convert("RGB").getcolors(1_000_000) or []) > 500, "there are pictures on it"


def test_the_second_of_two_images_asked_for_at_once_is_drawn_without_an_error(opened: Page) -> None:
    prompt, start = opened.locator("#prompt textarea"), opened.locator("#generate")
    prompt.fill("ant, blob style")
    start.click()
    expect(opened.locator("#status")).to_contain_text("Step")
    prompt.fill("house, noto style")
    start.click()
    expect(opened.locator("#status")).to_contain_text("“house, noto style” · seed")
    expect(opened.locator("#reveal .segments")).to_be_visible()
    expect(opened.locator("#reveal .drawing")).to_have_count(0)
    expect(opened.get_by_test_id("toast-body")).to_have_count(0)


def test_an_image_that_may_not_show_its_prompt_says_so(opened: Page) -> None:
    unfold(opened, "recipe-fold")
    opened.locator("#keep-seed input").check()
    for prompt, seed, doubts in (("coffee, fluent style", 116, 1), ("guitar, fluent style", 113, 0)):
        opened.locator("#prompt textarea").fill(prompt)
        opened.locator("#seed input").fill(str(seed))
        opened.locator("#seed input").blur()
        opened.locator("#generate").click()
        expect(opened.locator("#status")).to_contain_text(f"“{prompt}” · seed {seed} · 12 steps")
        expect(opened.locator("#status").get_by_text("The image may not show “coffee”")).to_have_count(doubts)


@pytest.mark.parametrize("width", [1280, 390])
def test_who_waits_for_the_generator_reads_the_place_in_line(
    opened: Page, pocket_app: str, width: int
) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    set_steps(opened, 40)
    other = opened.context.new_page()
    other.set_viewport_size({"width": width, "height": 844})
    other.goto(pocket_app)
    expect(other.locator("#reveal li")).to_have_count(4)
    opened.locator("#generate").click()
    expect(opened.locator("#status")).to_contain_text("Step")
    expect(opened.locator("#status")).not_to_contain_text("line")
    status = other.locator("#status")
    other.locator("#generate").click()
    expect(status).to_have_text("Waiting: 2nd in line.", use_inner_text=True)
    expect(status).to_be_in_viewport(ratio=1)
    other.locator("#stop").click()
    expect(status).to_have_text(re.compile("^Stopped"), use_inner_text=True)
    other.close()
