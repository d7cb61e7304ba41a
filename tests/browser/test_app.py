"""The app in a real browser and through its API: from a prompt to credits and scores, and what goes wrong."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from attribution_core.collection.collection import Collection
from attribution_core.common.images import jpeg_bytes, read_recipe
from attribution_core.corpus.corpus import Corpus
from attribution_core.credentials.iptc import GENERATED, AiMetadata
from attribution_core.generation.generator import GeneratedImage, Generator, StepPreview
from attribution_core.settings import Settings
from tests.support.browser import (
    PROMPT,
    choose,
    generate,
    hand_over,
    listed,
    saved,
    set_steps,
    tab,
    unfold,
    upload,
)
from tests.support.fakes import shape_image

N = f"{len(Corpus.open(Settings().collection / 'corpus')):,}"


def test_the_page_opens_on_an_attributed_example_and_its_table(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    expect(opened.locator("#status")).to_contain_text("seed")
    prompt = opened.locator("#prompt textarea").input_value()
    tab(opened, "Attribution", "By image")
    expect(opened.locator("#headline")).to_contain_text(f"Image: “{prompt}”")
    expect(listed(opened)).to_have_count(12)
    expect(opened.locator("#facts")).to_contain_text(f"1 of {N}")
    opened.locator("#table-fold button").first.click()
    expect(opened.locator("#table")).to_contain_text("similarity")
    first = opened.locator("#facts h3").inner_text()
    expect(opened.get_by_role("gridcell", name=first, exact=True).first).to_be_visible()


def test_from_a_prompt_to_credits_and_scores(opened: Page, tmp_path: Path) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    before = opened.locator("#made img").get_attribute("src")
    generate(opened)
    assert opened.locator("#made img").get_attribute("src") != before
    recipe = read_recipe(saved(opened, "#png", tmp_path))
    assert recipe is not None
    assert (recipe["prompt"], recipe["seed"], recipe["steps"]) == (PROMPT, "5", "6")

    opened.locator("#see").click()
    expect(opened.locator("#headline")).to_contain_text(f"Image: “{PROMPT}”")
    expect(listed(opened)).to_have_count(12)
    listed(opened).nth(2).click()
    expect(opened.locator("#facts")).to_contain_text(f"3 of {N}")
    expect(opened.locator("#facts")).to_contain_text("Licence")
    expect(opened.locator("#chosen img")).to_be_visible()

    slider = opened.locator("#top input[type=number]")
    slider.fill("30")
    slider.press("Enter")
    slider.blur()
    expect(listed(opened)).to_have_count(30)
    expect(opened.locator("#rest")).to_contain_text("30 listed images")
    result = json.loads(saved(opened, "#json", tmp_path).read_text())
    assert len(result["top"]) == 30
    assert sum(t["influence"] for t in result["top"]) + result["rest"] == pytest.approx(1, abs=1e-9)
    rows = list(csv.DictReader(io.StringIO(saved(opened, "#csv", tmp_path).read_text())))
    assert [row["id"] for row in rows] == [t["id"] for t in result["top"]]

    tab(opened, "Scores")
    for plot in ("#ranks", "#cumulative", "#histogram"):
        expect(opened.locator(f"{plot} .main-svg").first).to_be_visible()
    expect(opened.locator("#sentence")).to_contain_text(f"For “{PROMPT}”")
    expect(opened.locator("#sentence")).to_contain_text("Likeness alone hardly tells training images apart")
    unfold(opened, "scores-numbers")
    tiles = opened.locator("#tiles")
    expect(tiles).to_contain_text(f"{result['temperature']:.4f}fitted")
    doublings = opened.locator("#temperature input[type=number]")
    doublings.fill("1")
    doublings.blur()
    expect(tiles).to_contain_text(f"{2 * result['temperature']:.4f}fitted: {result['temperature']:.4f}")
    expect(opened.locator("#sentence")).to_contain_text("You moved the scale")
    opened.locator("#reset").click()
    expect(tiles).to_contain_text(f"{result['temperature']:.4f}fitted")
    expect(doublings).to_have_value("0")


def test_an_example_is_carried_to_the_other_tabs(visited: Page) -> None:
    prompt = visited.locator("#examples .thumbnail-item").nth(2).locator(".caption-label").inner_text()
    expect(visited.locator("#prompt textarea")).not_to_have_value(prompt)
    visited.locator("#examples .thumbnail-item").nth(2).click()
    expect(visited.locator("#prompt textarea")).to_have_value(prompt)
    expect(visited.locator("#status")).to_contain_text(f"“{prompt}”")
    tab(visited, "Attribution", "By image")
    expect(visited.locator("#headline")).to_contain_text(f"Image: “{prompt}”")


def test_before_the_first_answer_the_page_says_what_comes(page: Page, pocket_app: str) -> None:
    page.route("**/queue/join*", lambda route: None)  # no call is ever answered
    page.goto(pocket_app)
    expect(page.locator("#status")).to_contain_text("Opening the image ...")
    expect(page.locator("#reveal")).to_contain_text("First the image, then whose work is in it")
    expect(page.locator("footer")).to_contain_text("Use via API")
    expect(page.locator("footer .divider:visible")).to_have_count(0)


def test_an_uploaded_training_image_finds_itself(visited: Page, tmp_path: Path) -> None:
    corpus = Corpus.open(Settings().collection / "corpus")
    upload(visited, corpus.image(1234), tmp_path / "mine.png")
    tab(visited, "Attribution", "By image")
    expect(visited.locator("#headline")).to_contain_text("Image: “mine”")
    expect(visited.locator("#facts")).to_contain_text(corpus.credit(1234).id)


def test_an_uploaded_picture_shows_what_its_file_says(visited: Page, tmp_path: Path) -> None:
    fold = visited.locator("#credentials-fold")
    upload(visited, shape_image(4), tmp_path / "plain.png")
    expect(visited.locator("#status")).to_contain_text("“plain”")
    expect(fold).to_be_hidden()
    metadata = AiMetadata(GENERATED, "their <b>model</b>", prompt_writer="Ada")
    (tmp_path / "told.jpg").write_bytes(jpeg_bytes(shape_image(5), metadata.xmp()))
    hand_over(visited, tmp_path / "told.jpg")
    expect(visited.locator("#status")).to_contain_text("“told”")
    unfold(visited, "credentials-fold")
    expect(fold).to_contain_text("their <b>model</b>")
    expect(fold).to_contain_text("made by a trained model")


@pytest.mark.parametrize(
    ("name", "content"), [("broken.png", b"no image"), ("cut.png", None), ("empty.jpg", b"")]
)
def test_a_bad_upload_says_so_and_what_is_still_in_sight(
    visited: Page, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        shape_image(1).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()[:200]
    (tmp_path / name).write_bytes(content)
    before = visited.locator("#status").inner_text()
    assert before
    hand_over(visited, tmp_path / name)
    expect(visited.get_by_test_id("toast-body")).to_contain_text(name.split(".")[0])
    expect(visited.locator("#status")).to_contain_text(
        "Your file was not taken. All that you see is still of “"
    )
    kept = before.splitlines()[-1]
    assert visited.locator("#status").inner_text().endswith(kept), "the image in sight is described as before"
    expect(visited.locator("#upload img")).to_have_count(0)


def test_an_empty_prompt_is_a_toast(visited: Page) -> None:
    visited.locator("#prompt textarea").fill("   ")
    visited.locator("#generate").click()
    expect(visited.get_by_test_id("toast-body")).to_contain_text("The prompt is empty")
    title = "getComputedStyle(document.querySelector('.toast-title'), '::before').content"
    assert visited.evaluate(title) == '"That did not work "'
    pills = visited.locator("[data-testid=status-tracker] .error")
    expect(pills.first).to_be_attached()  # Gradio puts them over what is shown, and there they would stay
    expect(pills.filter(visible=True)).to_have_count(0)
    expect(visited.locator("#reveal li")).to_have_count(4)
    expect(visited.locator("#stop")).to_be_hidden()


def test_a_drawing_that_breaks_off_says_so(visited: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Generator.generate

    def broken(self: Generator, *given: Any) -> GeneratedImage:
        *made, on_step = given

        def step(preview: StepPreview) -> None:
            on_step(preview)
            if preview.step == 3:
                time.sleep(1)  # until the page has seen it
                raise RuntimeError("a defect")

        return whole(self, *made, step)

    monkeypatch.setattr(Generator, "generate", broken)
    visited.locator("#prompt textarea").fill(PROMPT)
    visited.locator("#generate").click()
    expect(visited.locator("#stop")).to_be_visible()
    expect(visited.locator("#status")).to_contain_text("The drawing broke off. The image is unfinished.")
    expect(visited.get_by_test_id("toast-body")).to_contain_text("Something went wrong on the server")
    expect(visited.locator("#stop")).to_be_hidden()
    expect(visited.locator("#reveal li")).to_have_count(4)


def test_enter_in_the_prompt_generates(visited: Page) -> None:
    visited.locator("#prompt textarea").fill("green apple, fluent flat style")
    set_steps(visited, 4)
    visited.locator("#prompt textarea").press("Enter")
    expect(visited.locator("#status")).to_contain_text("“green apple, fluent flat style”")
    expect(visited.locator("#status")).to_contain_text("4 steps")


def test_stopping_leaves_the_app_usable(visited: Page) -> None:
    set_steps(visited, 50)
    visited.locator("#prompt textarea").fill(PROMPT)
    stop = visited.locator("#stop")
    expect(stop).to_be_hidden()  # nothing runs
    visited.locator("#generate").click()
    expect(visited.locator("#status")).to_contain_text("of 50")
    stop.click()
    expect(visited.locator("#status")).to_contain_text("Stopped")
    expect(stop).to_be_hidden()
    generate(visited, "star, noto style", 8)


def test_a_collection_without_a_generator_takes_uploads(own: Page, tmp_path: Path) -> None:
    expect(own.get_by_text("This collection has no generator")).to_be_visible()
    expect(own.locator("#generate")).to_be_hidden()
    expect(own.locator("#upload input[type=file]")).to_be_attached()
    tab(own, "Attribution", "By image")
    expect(own.locator("#headline")).to_contain_text("Nothing attributed yet")
    upload(own, shape_image(7), tmp_path / "seven.png", claimed=True)
    expect(own.locator("#headline")).to_contain_text("“black circle, flat style” by Ben")
    expect(own.locator("#rest")).to_contain_text("the 108 others together")
    # The same image by another method, and back; a new image is attributed by the chosen one.
    expect(own.locator("#headline.found, #headline .found")).to_have_count(1)
    choose(own, "method", "flatter")
    expect(own.locator("#headline .found")).to_have_count(0)
    tab(own, "Scores")
    unfold(own, "scores-numbers")
    expect(own.locator("#tiles")).to_contain_text("5.0000")
    upload(own, shape_image(9), tmp_path / "nine.png", claimed=True)
    expect(own.locator("#headline .spread")).to_have_count(1)
    choose(own, "method", "own")
    expect(own.locator("#headline .found")).to_have_count(1)


def test_credit_is_summed_over_an_image_and_over_the_visit(own: Page, tmp_path: Path) -> None:
    tab(own, "Attribution", "By maker")
    expect(own.locator("#credit-words")).to_contain_text("Nothing attributed yet")
    for seed in (7, 9):
        upload(own, shape_image(seed), tmp_path / f"{seed}.png", claimed=True)
    tab(own, "Attribution", "By maker")
    # Shape 9 is Ada's; three creators made a third of the training set each.
    expect(own.locator("#credit-words")).to_contain_text("Ada comes first")
    expect(own.locator("#credit-words")).to_contain_text("times its part of the training set, 33%")
    expect(own.locator("#credit-map .main-svg").first).to_be_visible()
    own.get_by_label("all images of this visit").check()
    expect(own.locator("#credit-words")).to_contain_text("2 images of this visit")
    expect(own.locator("#credit-table")).to_contain_text("not listed")
    choose(own, "leave-out", "Ada")
    expect(own.locator("#credit-words")).to_contain_text("Left out: Ada, with")
    rows = list(csv.DictReader(io.StringIO(saved(own, "#credit-csv", tmp_path).read_text())))
    assert "Ada" not in {r["creator"] for r in rows}
    assert sum(float(r["influence"]) for r in rows) == pytest.approx(1)
    own.get_by_label("licence").check()
    expect(own.locator("#credit-words")).to_contain_text("CC0-1.0 comes first")


def test_evidence_sets_what_was_learned_beside_what_was_not(visited: Page) -> None:
    collection = Collection.open(Settings().collection)
    tab(visited, "Evidence", "One case")
    expect(visited.locator("#second-method input")).to_have_value(collection.method)
    expect(visited.locator("#first-method input")).to_have_value(re.compile(", pretrained$"))
    places = [visited.locator(f"#{side}-words") for side in ("first", "second")]
    for words, method in zip(places, (", pretrained: ", f"{collection.method}: "), strict=True):
        expect(words).to_contain_text(method)
    assert places[0].inner_text() != places[1].inner_text()


def test_evidence_tells_scores_shares_and_where_a_known_exemplar_stands(own: Page) -> None:
    tab(own, "Evidence", "All methods")
    expect(own.locator("#methods-words")).to_contain_text("6 models were tuned")
    expect(own.locator("#metrics .main-svg").first).to_be_visible()
    own.get_by_text("The paper's own figures").click()
    expect(own.locator("#paper-table")).to_contain_text("SSCD")
    tab(own, "Evidence", "Reliability")
    expect(own.locator("#reliability .main-svg").first).to_be_visible()
    words, tiles = own.locator("#reliability-words"), own.locator("#reliability-tiles")
    expect(words).to_contain_text("These shares help. A true source typically gets ")
    unfold(own, "reliability-numbers")
    expect(tiles).to_contain_text("Influence in the wrong place")
    before = words.inner_text(), tiles.inner_text()
    choose(own, "reliability-method", "flatter")
    for place, text in zip((words, tiles), before, strict=True):
        expect(place).not_to_have_text(text, use_inner_text=True)
    expect(own.locator("#evidence-limits")).to_contain_text("no proof that an image was used or copied")
    tab(own, "Evidence", "One case")
    # The exemplar of the first image stands first among 121, by either method, with more or less of the influence.
    expect(own.locator("#query-prompt")).to_contain_text("<v*> in a bar")
    for side in ("first", "second"):
        expect(own.locator(f"#{side}-words")).to_contain_text("number 1 of 121")
    own.locator("#query-made .thumbnail-item").nth(2).click()
    expect(own.locator("#query-prompt")).to_contain_text("<b>")
    choose(own, "second-method", "flatter")
    expect(own.locator("#second-words")).to_contain_text("flatter")
    assert own.locator("#first-words").inner_text() != own.locator("#second-words").inner_text()
    choose(own, "query-model", "3: shape 2")
    expect(own.locator("#query-prompt")).to_contain_text("<v*> in a bar")
    red = own.evaluate("getComputedStyle(document.querySelector('#first-gallery .thumbnail-item')).boxShadow")
    assert "208, 40, 46" in red
