"""In a browser: the tab Training set, its search, pages, sheets, addresses and makers, and one's own work in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.search import CorpusSearch, Wanted
from attribution_core.settings import Settings
from tests.support.browser import choose, dismiss, generate, tab, unfold
from tests.support.fakes import shape_image
from tests.support.uploads import holds
from ui.services.training_set import ALIKE, MEANT, NEAREST, PAGE

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


def sheet(page: Page) -> Locator:
    return page.locator("dialog.sheet[open]")


def found(page: Page, words: str) -> None:
    expect(page.locator("#set-words-found")).to_contain_text(words)


def at(page: Page, place: str) -> None:
    """The address names this place in the training set, and no other."""
    expect(page).to_have_url(re.compile(rf"\?tab=training-set{re.escape(place)}$"))


def search(page: Page) -> Locator:
    return page.locator("#set-words textarea, #set-words input").first


def test_words_makers_and_styles_narrow_it_down(browsed: Page) -> None:
    pages = -(-len(CORPUS) // PAGE)
    found(browsed, f"All {N} training images. Page 1 of {pages}.")
    search(browsed).press_sequentially("rabbit")
    rabbits = SEARCH.find(Wanted("rabbit"))
    found(browsed, f"{len(rabbits):,} of {N} training images fit. Then come {MEANT} similar in meaning")
    at(browsed, "&words=rabbit")
    expect(pictures(browsed)).to_have_count(len(rabbits) + MEANT)
    first = CORPUS.credit(int(rabbits[0])).caption
    expect(browsed.locator("#set-grid img").first).to_have_attribute("alt", first)
    dashed = "els => els.map((one) => getComputedStyle(one).borderTopStyle === 'dashed')"
    assert (
        browsed.locator("#set-grid .grid-container > *").evaluate_all(dashed)
        == [False] * len(rabbits) + [True] * MEANT
    )
    maker = CORPUS.credit(int(rabbits[0])).creator
    own = SEARCH.find(Wanted("rabbit", creator=maker))
    assert 0 < len(own) < len(rabbits)
    count = dict(SEARCH.values("creator"))[maker]
    choose(browsed, "set-maker", f"{maker} ({count:,})")
    found(browsed, f"{len(own):,} of {N} training images fit. Then come {MEANT} similar in meaning")
    expect(browsed.locator("#set-maker-page")).to_contain_text(f"{count:,} images")
    at(browsed, f"&words=rabbit&maker={quote(maker)}")


def test_an_unknown_word_gives_a_sentence_and_suggestions_that_can_be_followed(browsed: Page) -> None:
    search(browsed).fill("rabbitt")  # pasted: what makes no key press is asked for with Enter
    search(browsed).press("Enter")
    found(browsed, f"No caption says “rabbitt”. These {MEANT} are similar in meaning")
    expect(pictures(browsed)).to_have_count(MEANT)
    browsed.locator("#set-words-found").get_by_role("link", name="rabbit", exact=True).click()
    expect(search(browsed)).to_have_value("rabbit")
    found(browsed, f"{len(SEARCH.find(Wanted('rabbit'))):,} of {N} training images fit")
    browsed.go_back()
    expect(search(browsed)).to_have_value("rabbitt")
    found(browsed, "No caption says “rabbitt”")


def test_pages_are_turned_by_button_key_and_number_and_kept(browsed: Page) -> None:
    expect(browsed.locator("#set-before")).to_be_disabled()
    browsed.locator("#set-after").click()
    found(browsed, "Page 2 of")
    at(browsed, "&set-page=2")
    second = [CORPUS.credit(PAGE + k).caption or CORPUS.credit(PAGE + k).id for k in range(2)]
    image = browsed.locator("#set-grid img")
    expect(image.first).to_have_attribute("alt", second[0])
    # A page number that was typed and not asked for changes nothing of what a click chooses.
    number = browsed.locator("#set-page input")
    number.fill("5")
    pictures(browsed).nth(1).click()
    expect(sheet(browsed)).to_contain_text(CORPUS.credit(PAGE + 1).id)
    browsed.keyboard.press("Escape")
    number.fill("2")
    tab(browsed, "Scores")
    expect(browsed).to_have_url(re.compile(r"tab=scores$"))
    tab(browsed, "Training set")
    found(browsed, "Page 2 of")
    at(browsed, "&set-page=2")
    expect(image.first).to_have_attribute("alt", second[0])
    browsed.locator("#set-words-found").click()
    browsed.keyboard.press("ArrowRight")
    found(browsed, "Page 3 of")
    browsed.keyboard.press("ArrowLeft")
    found(browsed, "Page 2 of")
    number.press("ArrowRight")  # moves the cursor, and turns no page
    number.fill("100000")
    number.press("Enter")
    last = -(-len(CORPUS) // PAGE)
    found(browsed, f"Page {last} of {last}.")
    expect(browsed.locator("#set-after")).to_be_disabled()
    browsed.go_back()
    found(browsed, "Page 2 of")
    browsed.reload()
    found(browsed, "Page 2 of")
    expect(image.first).to_have_attribute("alt", second[0])


def test_a_sheet_closes_back_to_where_one_was(browsed: Page) -> None:
    browsed.locator("#set-after").click()
    found(browsed, "Page 2 of")
    credits = [CORPUS.credit(PAGE + k) for k in range(5)]
    pictures(browsed).nth(3).click()
    for known in (credits[3].creator, credits[3].licence, credits[3].id):
        expect(sheet(browsed)).to_contain_text(known)
    expect(sheet(browsed).locator("img")).to_be_visible()
    at(browsed, f"&set-page=2&image={quote(credits[3].id, safe='')}")
    browsed.keyboard.press("ArrowRight")
    expect(sheet(browsed)).to_contain_text(credits[4].id)
    browsed.go_back()
    expect(sheet(browsed)).to_have_count(0)
    at(browsed, "&set-page=2")
    found(browsed, "Page 2 of")
    for close in ("Escape", "outside", "button"):
        pictures(browsed).nth(4).click()
        expect(sheet(browsed)).to_contain_text(credits[4].id)
        if close == "Escape":
            browsed.keyboard.press("Escape")
        elif close == "outside":
            browsed.mouse.click(5, 5)
        else:
            sheet(browsed).get_by_role("button", name="Close").click()
        expect(sheet(browsed)).to_have_count(0)
        at(browsed, "&set-page=2")
    browsed.go_forward()
    expect(sheet(browsed)).to_contain_text(credits[4].id)
    browsed.reload()
    expect(sheet(browsed)).to_contain_text(credits[4].id)
    pictures(browsed).nth(0).scroll_into_view_if_needed()
    browsed.keyboard.press("Escape")
    expect(sheet(browsed)).to_have_count(0)
    found(browsed, "Page 2 of")


def test_from_an_image_to_others_like_it_and_back(browsed: Page) -> None:
    pictures(browsed).nth(3).click()
    credit = CORPUS.credit(3)
    sheet(browsed).get_by_role("link", name="More like this").click()
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
    expect(sheet(browsed).locator("h3")).to_have_text(name)
    browsed.go_back()
    browsed.go_back()
    found(browsed, "Page 1 of 2.")
    browsed.go_back()
    expect(sheet(browsed)).to_contain_text(credit.id)
    browsed.go_back()
    expect(sheet(browsed)).to_have_count(0)
    at(browsed, "")


def test_other_tabs_lead_to_images_like_theirs_and_to_their_makers(browsed: Page) -> None:
    tab(browsed, "Generate")
    generate(browsed)
    source = browsed.locator("#reveal li a").nth(1)
    name = source.locator("img").get_attribute("alt") or ""
    source.click()
    found(
        browsed,
        f"The {ALIKE} training images most like “{name.removeprefix('training image: ').partition(', icon set by')[0]}",
    )
    browsed.go_back()
    expect(browsed.locator("#tabs > .tab-wrapper [aria-selected=true]")).to_have_text("Generate")
    expect(browsed.locator("#status")).to_contain_text("seed 5"), "it was not loaded again"
    tab(browsed, "Attribution", "By image")
    browsed.locator("#facts").get_by_role("link", name="More like this").click()
    found(browsed, f"The {ALIKE} training images most like")
    tab(browsed, "Attribution", "By maker")
    link = browsed.locator("#credit-table a:visible").first
    assert link.inner_text().startswith("icon set by "), "the address and the page have the name alone"
    maker = link.inner_text().removeprefix("icon set by ")
    link.click()
    expect(browsed).to_have_url(re.compile(rf"maker={re.escape(quote(maker))}$"))
    page = browsed.locator("#set-maker-page")
    expect(page.locator("h3")).to_have_text(maker)
    expect(page).to_contain_text("of the influence on 1 image, as far as listed")
    expect(page).to_contain_text("gave no address to write to")
    expect(browsed.locator("#set-maker input")).to_have_value(re.compile(f"^{re.escape(maker)} "))


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("style=no+such", "no training image has the style 'no such'"),
        ("maker=%00%E2%80%AE", "no training image has the maker"),
        ("words=" + "x" * 3000, "the search has 3,000 characters, at most 200 are read"),
        ("like=nothing", "there is no training image 'nothing'"),
        ("set-page=two", "the link's page is 'two'"),
    ],
)
def test_a_link_to_what_is_not_there_says_so_and_shows_all(
    opened: Page, pocket_app: str, place: str, why: str
) -> None:
    opened.goto(f"{pocket_app}/?tab=training-set&{place}")
    expect(opened.get_by_test_id("toast-body")).to_contain_text(why)
    found(opened, f"All {N} training images.")


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
    expect(answer).to_contain_text("Your image is compared")
    expect(nearest, "they were those of the image before").to_have_count(0)
    mine.set_input_files(tmp_path / "mine.png")
    expect(answer).to_contain_text("Yes: the same picture")


def test_the_map_is_drawn_when_it_is_opened_and_lists_what_is_chosen(browsed: Page) -> None:
    plot = browsed.locator("#set-map .js-plotly-plot")
    expect(plot).to_have_count(0)
    unfold(browsed, "set-map-fold")
    expect(browsed.locator("#set-map-words")).to_contain_text(
        "The star is “red heart, fluent style”, placed among"
    )
    expect(browsed.locator("#set-map .js-plotly-plot[data-watched]")).to_have_count(1)
    browsed.set_viewport_size({"width": 390, "height": 844})
    expect(plot).to_have_css("width", "338px")
    legend, whole = (
        browsed.locator(f"#set-map {part}").bounding_box() for part in (".legend", ".js-plotly-plot")
    )
    assert legend is not None and whole is not None and legend["height"] < whole["height"] / 3
    browsed.set_viewport_size({"width": 1280, "height": 720})
    drawn = plot.evaluate("(plot) => plot._fullData.reduce((sum, trace) => sum + trace.x.length, 0)")
    assert drawn == len(CORPUS) + 1, "every image, and the star"
    corners = {"x": [0, 65535, 65535, 0], "y": [0, 0, 65535, 65535]}
    plot.evaluate("(plot, lassoPoints) => plot.emit('plotly_selected', {lassoPoints})", corners)
    found(browsed, "training images lie within your outline, those in its middle first. Page 1 of ")
    browsed.locator("#set-after").click()
    found(browsed, "lie within your outline, those in its middle first. Page 2 of ")
    plot.evaluate("(plot) => plot.emit('plotly_click', {points: [{x: 30000, y: 30000}]})")
    found(browsed, "The 24 training images around “")
    expect(pictures(browsed)).to_have_count(24)
    pictures(browsed).nth(1).click()
    expect(sheet(browsed)).to_be_visible()
