"""In a browser: the tab Memorization, from a case to its verdict, a close look, the noise signal, many seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from attribution_core.analyses.memorization.copies import threshold_of
from attribution_core.analyses.memorization.known_prompts import STABLE_DIFFUSION_1
from attribution_core.corpus.corpus import Corpus
from attribution_core.settings import Settings
from tests.support.browser import PROMPT, generate, hand_over, saved, start, tab, unfold, watched
from tests.support.fakes import copying_collection, shape_image
from tests.support.tiny_pipeline import make_clip_like

CORPUS = Corpus.open(Settings().collection / "corpus")
PLANTED = [i for i, kind in enumerate(CORPUS.column("planted")) if kind == "planted"]


@pytest.fixture(scope="module")
def documented_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a collection with a copy encoder whose generator is called as Stable Diffusion 1.5 is."""
    folder = copying_collection(tmp_path_factory.mktemp("sd") / "stable-diffusion-v1-5").path
    make_clip_like(folder / "generator")
    yield from start(Settings(port=0, collection=folder))


def opened_on(page: Page) -> None:
    expect(page.locator("#made img")).to_be_visible()
    tab(page, "Memorization")
    expect(page.locator("#copy-query img")).to_be_visible()
    unfold(page, "copy-fold")
    expect(page.locator("#drop-off .main-svg").first).to_be_visible()


def choose_case(page: Page, k: int) -> str:
    page.locator("#case-gallery .thumbnail-item").nth(k).click()
    caption = CORPUS.column("short_caption")[PLANTED[k]]
    expect(page.locator("#memorization-words")).to_contain_text(f"Image: “{caption}”")
    return caption


def test_from_a_planted_case_to_its_verdict_and_a_close_look(opened: Page, tmp_path: Path) -> None:
    opened_on(opened)
    caption = choose_case(opened, 0)
    words, told = opened.locator("#memorization-words"), threshold_of("pocket-sscd")
    assert told is not None
    expect(words).to_contain_text("Most likely a copy of a training image")
    expect(words).to_contain_text(f"It matches “{caption}”")
    expect(words).to_contain_text(f"from {told.value:.3f} on")
    expect(words).to_contain_text(f"{told.precision:.0%} of what was called a copy was one")
    expect(words).to_be_in_viewport()
    for name in ("query", "match", "difference", "heat-query", "heat-match"):
        expect(opened.locator(f"#copy-{name} img")).to_be_visible()
    expect(opened.locator("#copy-slider img")).to_have_count(2)
    places = [image.bounding_box() for image in opened.locator("#copy-slider img").all()]
    assert places[0] == places[1], "both halves lie over each other"
    expect(opened.locator("#drop-words")).to_contain_text("after 1 image")
    # The signal was recorded on the way, and stands among the measured ones.
    expect(opened.locator("#signal-words")).to_contain_text("a noise signal of")
    expect(opened.locator("#signal-gauge")).to_contain_text("this image")
    expect(opened.locator("#record-signal")).to_be_hidden()

    over = opened.locator("#copy-blink img").last
    assert over.evaluate("image => getComputedStyle(image).animationName") == "none"
    opened.locator("#copy-blink input").focus()
    opened.keyboard.press("Space")
    assert over.evaluate("image => getComputedStyle(image).animationName") == "by-turns"

    before = opened.locator("#copy-match img").get_attribute("src")
    opened.locator("#copy-nearest .thumbnail-item").nth(3).click()
    expect(opened.locator("#copy-match img")).not_to_have_attribute("src", before or "")

    tab(opened, "Generate")
    expect(opened.locator("#prompt textarea")).to_have_value(caption)
    tab(opened, "Attribution", "By image")
    expect(opened.locator("#headline")).to_contain_text(f"Image: “{caption}”")
    report = json.loads(saved(opened, "#report-json", tmp_path).read_text())
    section = next(s for s in report["sections"] if s["title"] == "Is it a copy?")
    facts = {f["name"]: f for f in section["facts"]}
    assert facts["Verdict"]["number"] is True and facts["Threshold"]["number"] == told.value
    assert facts["Noise signal"]["number"] > 0 and len(section["pictures"]) == 4


def test_a_planted_prompt_warns_and_is_drawn_again_less_like_it(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    expect(opened.locator("#recites")).to_be_hidden()
    caption = CORPUS.column("short_caption")[PLANTED[0]]
    opened.locator("#prompt textarea").fill(caption)
    opened.locator("#generate").click()
    expect(opened.locator("#recites")).to_contain_text("may be close to a training image")
    tab(opened, "Attribution", "By maker")
    copy = opened.locator("#headline p", has_text="Copy:")
    expect(copy).to_contain_text("copy of")
    told = copy.inner_text()
    tab(opened, "Memorization")
    expect(opened.locator("#memorization-verdict p", has_text="Copy:")).to_have_text(told)
    tab(opened, "Generate")
    opened.locator("#draw-again").click()
    expect(opened.locator("#recites")).to_be_hidden()
    subject = caption.split(",")[0]
    expect(opened.locator("#status")).to_contain_text(f"“{subject}” · seed")
    expect(opened.locator("#prompt textarea")).to_have_value(subject)
    tab(opened, "Memorization")
    expect(opened.locator("#memorization-verdict")).to_contain_text(f"Image: “{subject}”")


def test_the_page_asks_once_for_a_verdict_when_it_opens(page: Page, pocket_app: str) -> None:
    asked: list[int] = []
    page.on(
        "request",
        lambda r: (
            asked.append(json.loads(r.post_data or "{}")["fn_index"]) if "queue/join" in r.url else None
        ),
    )
    for opened in watched(page, pocket_app):
        tab(opened, "Attribution", "By image")
        expect(opened.locator("#headline")).to_contain_text("Copy: As close as a copy")
        calls = dict(
            opened.evaluate("window.gradio_config.dependencies.map((one) => [String(one.id), one.api_name])")
        )
        names = [calls[str(number)] for number in asked]
        assert [name for name in names if name.startswith(("join_verdict", "look_again"))] in (
            ["join_verdict_0"],
            ["join_verdict_0", "look_again_0"],
        )


def test_a_stored_image_has_no_signal_until_it_is_made_again(opened: Page) -> None:
    opened_on(opened)
    expect(opened.locator("#signal-words")).to_contain_text("No signal was recorded")
    opened.locator("#record-signal").click()
    expect(opened.locator("#signal-words")).to_contain_text("The signal is")
    expect(opened.locator("#record-signal")).to_be_hidden()


def test_an_image_of_the_first_tab_is_judged_when_the_tab_is_opened(visited: Page, tmp_path: Path) -> None:
    generate(visited)
    tab(visited, "Memorization")
    expect(visited.locator("#memorization-words")).to_contain_text(f"Image: “{PROMPT}”")
    expect(visited.locator("#signal-words")).to_contain_text("This image was drawn with 6 steps")
    CORPUS.image(PLANTED[2]).save(tmp_path / "mine.png")
    tab(visited, "Generate")
    hand_over(visited, tmp_path / "mine.png")
    expect(visited.locator("#status")).to_contain_text("mine")
    tab(visited, "Memorization")
    expect(visited.locator("#memorization-words")).to_contain_text("similarity of 1.000")
    # While the tab is in sight, what comes back from the visit is judged at once.
    visited.locator("#history .thumbnail-item").nth(1).click()
    expect(visited.locator("#memorization-words")).to_contain_text(f"Image: “{PROMPT}”")


def test_many_seeds_say_how_often_the_image_comes_back(opened: Page) -> None:
    opened_on(opened)
    caption = choose_case(opened, 0)
    expect(opened.locator("#seeds-prompt textarea, #seeds-prompt input").first).to_have_value(caption)
    count = opened.locator("#seeds-count input[type=number]")
    count.fill("3")
    count.blur()
    opened.locator("#try-seeds").click()
    expect(opened.locator("#seeds-words")).to_contain_text("Of 3 seeds")
    expect(opened.locator("#seeds-words")).to_contain_text("came back as copies of")
    strip = opened.locator("#seeds-strip .thumbnail-item")
    expect(strip).to_have_count(3)
    strip.nth(2).click()
    tab(opened, "Generate")
    expect(opened.locator("#status")).to_contain_text("seed 3")


def test_stopping_seeds_keeps_what_is_there(visited: Page) -> None:
    opened_on(visited)
    count = visited.locator("#seeds-count input[type=number]")
    count.fill("32")
    count.blur()
    visited.locator("#try-seeds").click()
    expect(visited.locator("#seeds-words")).to_contain_text("Of 2 seeds")
    visited.locator("#stop-seeds").click()
    expect(visited.locator("#seeds-words")).to_contain_text("Stopped")
    visited.locator("#seeds-prompt textarea, #seeds-prompt input").first.fill(" ")
    visited.locator("#try-seeds").click()
    expect(visited.get_by_test_id("toast-body")).to_contain_text("The prompt is empty")


def test_controls_are_listed_apart(visited: Page) -> None:
    opened_on(visited)
    controls = [i for i, kind in enumerate(CORPUS.column("planted")) if kind == "control"]
    visited.get_by_label("controls: matched, not repeated").check()
    first = CORPUS.column("short_caption")[controls[0]]
    expect(visited.locator("#case-gallery .thumbnail-item img").first).to_have_attribute("alt", first)
    visited.locator("#case-gallery .thumbnail-item").first.click()
    expect(visited.locator("#memorization-words")).to_contain_text(f"Image: “{first}”")
    expect(visited.locator("#memorization-words")).to_contain_text("Not close enough to be called a copy")


def test_a_collection_without_a_copy_encoder_says_how_to_name_one(own: Page, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "seven.png")
    hand_over(own, tmp_path / "seven.png")
    own.wait_for_function("window.underWay")  # the page knows of it
    tab(own, "Memorization")
    expect(own.locator("#memorization-words")).to_contain_text("names no encoder that tells copies")
    expect(own.locator("#copy-look")).to_be_hidden()
    expect(own.locator("#signal-box")).to_be_hidden()
    tab(own, "Attribution", "By image")
    report = json.loads(saved(own, "#report-json", tmp_path).read_text())
    assert report["sections"] == []


def test_documented_prompts_are_made_only_on_request(page: Page, documented_app: str) -> None:
    for opened in watched(page, documented_app):
        tab(opened, "Memorization")
        expect(opened.locator("#memorization-words")).to_contain_text("Nothing to look at yet")
        expect(opened.locator("#documented")).to_contain_text(STABLE_DIFFUSION_1[0].source)
        expect(opened.locator("#history-box")).to_be_hidden()
        opened.locator("#make-documented").click()
        expect(opened.locator("#memorization-words")).to_contain_text(STABLE_DIFFUSION_1[0].prompt)
        expect(opened.locator("#signal-words")).to_contain_text("no verdict on it")


def test_the_model_is_checked_with_prompts_of_ones_own(opened: Page, tmp_path: Path) -> None:
    tab(opened, "Memorization")
    unfold(opened, "check-fold")
    opened.get_by_label("my own", exact=True).check()
    caption = CORPUS.column("short_caption")[PLANTED[0]]
    opened.locator("#check-prompts textarea").fill(f"{caption}\na house of cards")
    opened.locator("#check-prompts textarea").blur()
    expect(opened.locator("#check-estimate")).to_contain_text("4 images")
    opened.locator("#check-start").click()
    expect(opened.locator("#check-result h2")).to_contain_text("of 4 images")
    expect(opened.locator("#check-result .pair").first.locator("img")).to_have_count(2)
    told = json.loads(saved(opened, "#check-json", tmp_path).read_text(encoding="utf-8"))
    assert {rate["name"]: rate["images"] for rate in told["rates"]} == {
        "training captions": 2,
        "other prompts": 2,
    }
