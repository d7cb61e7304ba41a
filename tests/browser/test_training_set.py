"""In a browser: the tab Training set, by words, makers and pages, from an image to others, and one's own work in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.search import CorpusSearch, Wanted
from attribution_core.settings import Settings
from tests.support.browser import choose, dismiss, generate, tab
from tests.support.fakes import shape_image
from tests.support.uploads import holds
from ui.services.training_set import ALIKE, NEAREST, PAGE

CORPUS = Corpus.open(Settings().collection / "corpus")
SEARCH = CorpusSearch(CORPUS)
N = f"{len(CORPUS):,}"


@pytest.fixture
def browsed(opened: Page) -> Iterator[Page]:
    expect(opened.locator("#made img")).to_be_visible()
    tab(opened, "Training set")
    expect(pictures(opened)).to_have_count(PAGE)
    yield opened


def pictures(page: Page) -> Locator:
    return page.locator("#set-grid .thumbnail-item")


def found(page: Page, words: str) -> None:
    expect(page.locator("#set-words-found")).to_contain_text(words)


def test_words_makers_and_styles_narrow_it_down(browsed: Page) -> None:
    pages = -(-len(CORPUS) // PAGE)
    found(browsed, f"All {N} training images. Page 1 of {pages}.")
    search = browsed.locator("#set-words textarea, #set-words input").first
    search.press_sequentially("rabbit")
    rabbits = SEARCH.find(Wanted("rabbit"))
    found(browsed, f"{len(rabbits):,} of {N} training images fit.")
    expect(pictures(browsed)).to_have_count(min(PAGE, len(rabbits)))
    first = CORPUS.credit(int(rabbits[0])).caption
    expect(browsed.locator("#set-grid img").first).to_have_attribute("alt", first)
    maker = CORPUS.credit(int(rabbits[0])).creator
    own = SEARCH.find(Wanted("rabbit", creator=maker))
    assert 0 < len(own) < len(rabbits)
    count = dict(SEARCH.values("creator"))[maker]
    choose(browsed, "set-maker", f"{maker} ({count:,})")
    found(browsed, f"{len(own):,} of {N} training images fit. {maker}: {count:,} of {N} training images")
    expect(pictures(browsed)).to_have_count(len(own))
    search.fill("no such thing")  # pasted: what makes no key press is asked for with Enter
    search.press("Enter")
    found(browsed, "No training image fits")
    expect(pictures(browsed)).to_have_count(0)
    search.fill("")
    search.press("Enter")
    found(browsed, f"{maker}: {count:,} of {N} training images.")


def test_pages_are_turned_and_the_second_is_still_there_on_the_way_back(browsed: Page) -> None:
    expect(browsed.locator("#set-before")).to_be_disabled()
    browsed.locator("#set-after").click()
    found(browsed, "Page 2 of")
    second = [CORPUS.credit(PAGE + k).caption or CORPUS.credit(PAGE + k).id for k in range(2)]
    image = browsed.locator("#set-grid img")
    expect(image.first).to_have_attribute("alt", second[0])
    # A page number that was typed and not asked for changes nothing of what a click chooses.
    number = browsed.locator("#set-page input")
    number.fill("5")
    pictures(browsed).nth(1).click()
    expect(browsed.locator("#set-facts")).to_contain_text(CORPUS.credit(PAGE + 1).id)
    number.fill("2")
    tab(browsed, "Scores")
    tab(browsed, "Training set")
    found(browsed, "Page 2 of")
    expect(image.first).to_have_attribute("alt", second[0])
    expect(browsed.locator("#set-facts")).to_contain_text(CORPUS.credit(PAGE + 1).id)
    browsed.locator("#set-before").click()
    found(browsed, "Page 1 of")
    number.fill("100000")
    number.press("Enter")
    last = -(-len(CORPUS) // PAGE)
    found(browsed, f"Page {last} of {last}.")
    expect(browsed.locator("#set-after")).to_be_disabled()


def test_from_an_image_to_others_like_it_and_by_its_maker(browsed: Page) -> None:
    expect(browsed.locator("#set-alike")).to_be_hidden()
    browsed.locator("#set-after").click()
    found(browsed, "Page 2 of")
    pictures(browsed).nth(3).click()
    credit = CORPUS.credit(PAGE + 3)
    expect(browsed.locator("#set-facts")).to_contain_text(credit.creator)
    expect(browsed.locator("#set-facts")).to_contain_text(credit.licence)
    expect(browsed.locator("#set-chosen img")).to_be_visible()
    browsed.locator("#set-alike").click()
    found(browsed, f"The {ALIKE} training images most like “{credit.caption}”")
    found(browsed, "Page 1 of 2.")
    image = browsed.locator("#set-grid img").first
    expect(image).to_have_attribute("alt", credit.caption)
    browsed.locator("#set-after").click()
    found(browsed, "Page 2 of 2.")
    expect(image).not_to_have_attribute("alt", credit.caption)
    # What is listed is what a click chooses, of those that are alike as well.
    name = image.get_attribute("alt") or ""
    pictures(browsed).first.click()
    expect(browsed.locator("#set-facts h3")).to_have_text(name)
    tab(browsed, "Generate")
    generate(browsed)
    tab(browsed, "Training set")
    found(browsed, "Page 2 of 2.")
    browsed.locator("#set-by-maker").click()
    found(browsed, "of the influence on the image of this visit, as far as listed")
    expect(browsed.locator("#set-maker input")).not_to_have_value("any")


def test_is_my_work_in_here(browsed: Page, tmp_path: Path, uploads: Path) -> None:
    mine, answer = browsed.locator("#set-mine input[type=file]"), browsed.locator("#set-answer")
    CORPUS.image(1234).save(tmp_path / "mine.png")
    mine.set_input_files(tmp_path / "mine.png")
    expect(answer).to_contain_text(
        f"Yes: the same picture is in the training set, as “{CORPUS.credit(1234).caption}”."
    )
    nearest = browsed.locator("#set-nearest .thumbnail-item")
    expect(nearest).to_have_count(NEAREST)
    expect(nearest.first).to_contain_text("1.00")
    shape_image(900).save(tmp_path / "piece-900.png")
    mine.set_input_files(tmp_path / "piece-900.png")
    expect(answer).to_contain_text("No copy of your image was found")
    expect(answer.get_by_alt_text("your image")).to_be_visible()
    assert holds(uploads, 900) == [], "it is forgotten at once"
    (tmp_path / "bad.png").write_bytes(b"no image")
    mine.set_input_files(tmp_path / "bad.png")
    expect(browsed.get_by_test_id("toast-body")).to_contain_text("cannot be read as an image")
    dismiss(browsed)
    mine.set_input_files(tmp_path / "mine.png")
    expect(answer).to_contain_text("Yes: the same picture")
