"""In a browser: an artist's images among the candidates, over prompts, learned on the spot, and forgotten."""

from __future__ import annotations

import gc
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from attribution_core.common.images import read_image
from attribution_core.corpus.corpus import Corpus
from attribution_core.generation.generator import GeneratedImage, Generator
from attribution_core.settings import Settings
from tests.support.browser import generate, hand_over, saved, tab, unfold, watched
from tests.support.fakes import shape_image
from tests.support.uploads import holds
from ui.services.artwork import Desk


@pytest.fixture
def mine(page: Page, shapes_app: str) -> Iterator[Page]:
    for opened in watched(page, shapes_app):
        expect(opened.locator("#status")).to_contain_text("red cat")
        tab(opened, "My artwork")
        yield opened


def drop(page: Page, folder: Path, *seeds: int) -> None:
    for seed in seeds:
        shape_image(seed).save(folder / f"piece-{seed}.png")
    page.locator("#artist input, #artist textarea").first.fill("Ada")
    page.locator("#artwork-upload input[type=file]").set_input_files(
        [folder / f"piece-{s}.png" for s in seeds]
    )


def test_from_a_drop_to_an_answer_and_forgotten(mine: Page, tmp_path: Path, uploads: Path) -> None:
    refused = list[str]()
    mine.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    drop(mine, tmp_path, 900, 17)
    pieces = mine.locator("#artwork-pieces img")
    expect(pieces).to_have_count(2)
    expect(mine.locator("#artwork-pieces")).to_contain_text("2 images, in memory only")
    assert pieces.first.get_attribute("src").startswith("data:image/png")  # type: ignore[union-attr]
    expect(mine.locator("#artwork-upload")).not_to_contain_text("piece-900")
    assert holds(uploads, 900, 17) == [], "no file of it remains"
    nearest = mine.locator("#artwork-nearest")
    expect(nearest.locator(".pair")).to_have_count(2)
    expect(nearest).not_to_contain_text("similarity")
    # Without another click: the prompts are drawn, and one sentence says what was found.
    expect(mine.locator("#survey-pictures img")).to_have_count(4)
    expect(mine.locator("#artwork-answer")).to_contain_text("of 62 sources")
    expect(mine.locator("#survey-status")).to_be_empty()
    assert holds(uploads, 900, 17) == []
    mine.locator("#ask-credited").click()
    answer = mine.locator("#credited-words")
    expect(answer.locator("h2")).to_have_text(re.compile("^(Yes|Perhaps|In part|No)$"))
    expect(answer).to_contain_text(re.compile(r"\d(st|nd|rd|th) of 62 sources"))
    expect(answer).to_contain_text("2 images together would hold")
    expect(mine.locator("#credited-plot")).to_be_hidden()
    mine.locator("#credited-fold > button").click()
    expect(mine.locator("#credited-tiles")).to_contain_text("of 62")
    expect(mine.locator("#credited-plot .main-svg").first).to_be_visible()
    assert holds(uploads, 900, 17) == []
    # The report of this image tells it, without a picture; that of another does not.
    tab(mine, "Attribution", "By image")
    told = json.loads(saved(mine, "#report-json", tmp_path).read_text())
    assert [(s["title"], s["pictures"]) for s in told["sections"]] == [("Would Ada be credited?", [])]
    tab(mine, "Generate")
    generate(mine, "blue dog")
    tab(mine, "My artwork")
    expect(mine.locator("#credited-about")).to_contain_text("blue dog")
    expect(answer).to_be_hidden()
    tab(mine, "Attribution", "By image")
    expect(mine.locator("#headline")).to_contain_text("blue dog")
    assert json.loads(saved(mine, "#report-json", tmp_path).read_text())["sections"] == []
    tab(mine, "My artwork")
    mine.locator("#ask-credited").click()
    expect(answer).to_be_visible()
    mine.locator("#forget-artwork").click()
    expect(mine.locator("#artwork-pieces")).to_contain_text("No images yet")
    expect(answer).to_be_hidden()
    expect(mine.locator("#forget-artwork")).to_be_disabled()
    tab(mine, "Attribution", "By image")
    assert json.loads(saved(mine, "#report-json", tmp_path).read_text())["sections"] == []
    tab(mine, "My artwork")
    mine.locator("#artist input, #artist textarea").first.fill("Ada")
    mine.locator("#ask-credited").click()
    expect(mine.get_by_test_id("toast-body")).to_contain_text("no artwork here")
    assert refused == []


def test_a_page_that_is_loaded_again_has_forgotten(mine: Page, tmp_path: Path) -> None:
    drop(mine, tmp_path, 900)
    expect(mine.locator("#artwork-pieces img")).to_have_count(1)
    assert held()
    mine.reload()
    expect(mine.get_by_role("tab", name="My artwork")).to_be_visible()
    tab(mine, "My artwork")
    expect(mine.locator("#artwork-pieces")).to_contain_text("No images yet")
    deadline = time.monotonic() + 30
    while held() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not held(), "the server has forgotten, too"


def held() -> list[Desk]:
    """Desks with images on them, anywhere in the app's memory; it runs in this process."""
    return [one for one in gc.get_objects() if isinstance(one, Desk) and one.images]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The generator takes its time; the prompts that it was given."""
    draw, drawn = Generator.generate, list[str]()

    def slowly(self: Generator, *given: Any) -> GeneratedImage:
        drawn.append(given[0])
        time.sleep(0.5)
        return draw(self, *given)

    monkeypatch.setattr(Generator, "generate", slowly)
    return drawn


def test_prompts_are_ranked_and_can_be_stopped(
    mine: Page, tmp_path: Path, uploads: Path, slow: list[str]
) -> None:
    stop = mine.locator("#stop-survey")
    expect(stop).to_be_hidden()  # nothing runs
    drop(mine, tmp_path, 900, 17)
    expect(mine.locator("#survey-pictures img")).to_have_count(4)
    expect(stop).to_be_hidden()
    prompts = mine.locator("#survey-prompts textarea")
    unfold(mine, "survey-more")
    # Nothing is written over what is typed while the first prompts are drawn.
    expect(prompts).to_have_value("")
    mine.locator("#survey-near").click()
    expect(prompts).to_have_value(re.compile(r"(.+\n){7}"))
    prompts.fill("red cat\nblue dog\nhouse")
    mine.locator("#ask-survey").click()
    expect(mine.locator("#survey-pictures img")).to_have_count(3)
    mine.locator("#survey-fold > button").click()
    for plot in ("#survey-shares", "#survey-ranks"):
        expect(mine.locator(f"{plot} .main-svg").first).to_be_visible()
    slow.clear()
    prompts.fill("\n".join(f"cat of {'very ' * k}small house" for k in range(20)))
    mine.locator("#ask-survey").click()
    expect(mine.locator("#survey-status [role=progressbar]")).to_be_visible()
    stop.click()
    expect(mine.locator("#survey-status")).to_contain_text("Stopped")
    expect(stop).to_be_hidden()
    assert len(slow) < 20
    slow.clear()
    drop(mine, tmp_path, 3)
    expect(mine.locator("#survey-status [role=progressbar]")).to_be_visible()
    stop.click()
    expect(mine.locator("#survey-status")).to_contain_text("Stopped")
    assert len(slow) <= 4
    expect(mine.locator("#survey-pictures img")).to_have_count(0)
    assert holds(uploads, 900, 17) == []


def test_what_is_forgotten_while_it_is_drawn_ends_without_a_word(
    mine: Page, tmp_path: Path, slow: list[str]
) -> None:
    drop(mine, tmp_path, 900, 17)
    status = mine.locator("#survey-status")
    expect(status.locator("[role=progressbar]")).to_be_visible()
    mine.locator("#forget-artwork").click()
    expect(mine.locator("#artwork-pieces")).to_contain_text("No images yet")
    mine.wait_for_timeout(3000)  # longer than four prompts take
    assert len(slow) < 4
    expect(mine.get_by_test_id("toast-body")).to_have_count(0)
    expect(status).to_be_empty()
    expect(mine.locator("#survey-pictures img")).to_have_count(0)


def test_a_drop_ends_what_is_drawn_only_if_it_is_taken(mine: Page, tmp_path: Path, slow: list[str]) -> None:
    drop(mine, tmp_path, 900)
    expect(mine.locator("#survey-status [role=progressbar]")).to_be_visible()
    broken = tmp_path / "piece-broken.png"
    broken.write_bytes(b"no image")
    mine.locator("#artwork-upload input[type=file]").set_input_files(broken)
    expect(mine.get_by_test_id("toast-body")).to_contain_text("piece-broken.png' cannot be read")
    expect(mine.locator("#survey-pictures img")).to_have_count(4)
    assert len(slow) == 4
    slow.clear()
    drop(mine, tmp_path, 17)
    expect(mine.locator("#survey-pictures img")).to_have_count(0)
    expect(mine.locator("#survey-status [role=progressbar]")).to_be_visible()
    drop(mine, tmp_path, 3)
    expect(mine.locator("#artwork-pieces img")).to_have_count(3)
    expect(mine.locator("#survey-pictures img")).to_have_count(4)
    assert 4 < len(slow) < 8, "some of the prompts near to the first two, all of those near to the three"
    expect(mine.locator("#survey-status")).to_be_empty()


def test_it_learns_and_the_generator_is_as_before(mine: Page, tmp_path: Path, uploads: Path) -> None:
    tab(mine, "Generate")
    generate(mine, "red cat", 7)
    before = read_image(saved(mine, "#png", tmp_path)).tobytes()
    tab(mine, "My artwork")
    drop(mine, tmp_path, 900, 17)
    expect(mine.locator("#artwork-pieces img")).to_have_count(2)
    unfold(mine, "learn-more")
    mine.get_by_label("They share a style").check()
    expect(mine.locator("#learn-prompts textarea")).to_have_value(re.compile(r"in the style of V\* art"))
    mine.get_by_label("They show one thing").check()
    expect(mine.locator("#learn-prompts textarea")).to_have_value(re.compile(r"^V\*\nV\*, flat style"))
    mine.locator("#learn-subject input, #learn-subject textarea").first.fill("cat")
    mine.locator("#learn-prompts textarea").fill("V*\nred V* in the house")
    steps = mine.locator("#learn-steps input[type=number]")
    steps.fill("500")
    steps.blur()
    mine.locator("#ask-learned").click()
    expect(mine.locator("#learn-status")).to_contain_text("Learning from your images")
    mine.locator("#stop-learned").click()
    expect(mine.locator("#learn-status")).to_contain_text("Stopped")
    expect(mine.locator("#stop-learned")).to_be_hidden()
    mine.wait_for_timeout(1000)  # a stop counts as a failure, too, which must not take the word back
    expect(mine.locator("#learn-status")).to_contain_text("Stopped")
    steps.fill("25")
    steps.blur()
    mine.locator("#ask-learned").click()
    expect(mine.locator("#learned-pairs img")).to_have_count(4)
    expect(mine.locator("#learned-words")).to_contain_text("of 62 sources")
    mine.locator("#learned-fold > button").click()
    expect(mine.locator("#learned-plot .main-svg").first).to_be_visible()
    assert holds(uploads, 900, 17) == []
    tab(mine, "Generate")
    generate(mine, "red cat", 7)
    assert read_image(saved(mine, "#png", tmp_path)).tobytes() == before


def test_bad_input_is_one_sentence(mine: Page, tmp_path: Path, uploads: Path) -> None:
    toast = mine.get_by_test_id("toast-body")

    def said(words: str) -> None:
        expect(toast.last).to_contain_text(words)
        mine.get_by_test_id("toast-close").last.click()
        expect(toast).to_have_count(0)

    mine.locator("#ask-credited").click()
    said("no artwork here")
    broken = tmp_path / "piece-broken.png"
    broken.write_bytes(b"no image")
    upload = mine.locator("#artwork-upload input[type=file]")
    upload.set_input_files(broken)
    said("piece-broken.png' cannot be read")
    expect(mine.locator("#artwork-pieces")).to_contain_text("No images yet")
    expect(mine.locator("#artwork-upload")).not_to_contain_text("piece-broken")
    shape_image(3).save(tmp_path / "piece-3.png")
    upload.set_input_files([broken, tmp_path / "piece-3.png"])
    notes = mine.locator("#artwork-pieces .note")
    expect(mine.locator("#artwork-pieces img")).to_have_count(1)
    expect(notes).to_have_text(re.compile("piece-broken.png' cannot be read"))
    drop(mine, tmp_path, *range(900, 960))
    expect(mine.locator("#artwork-pieces img")).to_have_count(30)
    expect(notes).to_have_text("At most 30 images are taken; 31 files were left out.")
    expect(mine.locator("#artwork-upload")).not_to_contain_text("piece-900")
    assert holds(uploads, *range(900, 960)) == []
    # A drop ends what is drawn for those before.
    expect(mine.locator("#survey-pictures img")).to_have_count(4)
    drop(mine, tmp_path, 4)
    said("Forget my artwork")
    expect(mine.locator("#artwork-pieces img")).to_have_count(30)
    mine.locator("#artist input, #artist textarea").first.fill("  ")
    mine.locator("#ask-credited").click()
    expect(mine.locator("#credited-words")).to_be_visible()  # a name is not needed
    unfold(mine, "learn-more")
    mine.locator("#learn-prompts textarea").fill("a cat")
    mine.locator("#ask-learned").click()
    said("does not hold V*")
    expect(mine.locator("#learn-status")).to_have_text("", use_inner_text=True)
    unfold(mine, "survey-more")
    expect(mine.locator("#survey-pictures img")).to_have_count(4)
    mine.locator("#survey-prompts textarea").fill(" ")
    mine.locator("#ask-survey").click()
    said("no prompt")


def test_two_visitors_do_not_meet(mine: Page, shapes_app: str, tmp_path: Path) -> None:
    drop(mine, tmp_path, 900)
    expect(mine.locator("#artwork-pieces img")).to_have_count(1)
    other = mine.context.new_page()
    other.goto(shapes_app)
    expect(other.get_by_role("tab", name="My artwork")).to_be_visible()
    tab(other, "My artwork")
    expect(other.locator("#artwork-pieces")).to_contain_text("No images yet")
    other.close()
    mine.locator("#ask-credited").click()
    expect(mine.locator("#credited-words")).to_be_visible()


def test_the_pocket_collection_knows_its_own(opened: Page, tmp_path: Path) -> None:
    corpus = Corpus.open(Settings().collection / "corpus")
    expect(opened.locator("#made img")).to_be_visible()
    (tmp_path / "query.png").write_bytes(_png(corpus, 1234))
    hand_over(opened, tmp_path / "query.png")
    expect(opened.locator("#status")).to_contain_text("query")
    tab(opened, "My artwork")
    (tmp_path / "mine.png").write_bytes(_png(corpus, 1234))
    opened.locator("#artwork-upload input[type=file]").set_input_files(tmp_path / "mine.png")
    expect(opened.locator("#artwork-pieces img")).to_have_count(1)
    opened.locator("#ask-credited").click()
    expect(opened.locator("#credited-words")).to_contain_text("yours is in the training set already")


def _png(corpus: Corpus, position: int) -> bytes:
    buffer = io.BytesIO()
    corpus.image(position).save(buffer, "PNG")
    return buffer.getvalue()
