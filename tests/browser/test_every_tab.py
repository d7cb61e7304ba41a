"""Every tab and part, on a desktop and a phone, light and dark: axe finds nothing, all is whole and has a name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.browser import tab, unfold, upload
from tests.support.fakes import shape_image
from ui.page import TABS

Scheme = Literal["light", "dark"]
DESKTOP, PHONE, SMALLEST = 1280, 390, 360
# What each tab, or part of one, draws, the last of it last.
DRAWN = {
    "Generate": ("#generate", "#reveal img", "#examples img"),
    "By image": ("#report-html", "#gallery img"),
    "By maker": ("#ledger-csv", "#credit-bars li:visible, #credit-map .main-svg:visible"),
    "By region": ("#grid-map .main-svg",),
    "By patches": ("#patches-words", "#patches-found img"),
    "Second opinion": ("#ask-opinion",),
    "Scores": ("#ranks .main-svg", "#histogram .main-svg"),
    "Memorization": ("#game-deal", "#drop-off .main-svg", "#copy-heat-match img", "#copy-query img"),
    "My artwork": ("#artwork-upload", "#ask-learned"),
    "Training set": ("#set-mine", "#set-grid img"),
    "Reliability": ("#evidence-limits", "#reliability .main-svg"),
    "One case": ("#query-made img", "#second-gallery img"),
    "All methods": ("#paper-fold", "#metrics .main-svg", "#copies .main-svg"),
    "Left out": ("#left-out-limits", "#left-out-lds .main-svg", "#left-out-pairs img"),
    "Compare": ("#slopes .main-svg",),
}
PARTS = [
    (name, part)
    for name, content in TABS
    for part in ([""] if callable(content) else [inner for inner, _ in content])
]
# Gradio's own, where an application has no say: a gallery gives an image's caption as its alternative text, too, and
# what stands in for an empty gallery has a label on an element without a role.
OPTIONS = {"rules": {"image-redundant-alt": {"enabled": False}}, "resultTypes": ["violations"]}
# Tabs out of sight are left out: each has, or had, its turn.
LEFT_OUT = {"exclude": [["[aria-label='Empty value']"], ["[role=tabpanel][style*='display: none']"]]}
# What fades in has its colours, and its place, only then; what turns without end does not count.
AT_REST = """() => document.getAnimations().every(
    (one) => one.playState !== 'running' || one.effect.getComputedTiming().endTime === Infinity)"""
NAMELESS = """() => [...document.querySelectorAll('img:not([alt])'),
    ...[...document.querySelectorAll('input, button')].filter((one) => one.offsetParent
        && !(one.labels && one.labels.length) && !one.ariaLabel && !one.title && !one.innerText.trim()
        && !one.getAttribute('aria-labelledby') && !one.querySelector('img[alt]:not([alt=""])'))
].map((one) => one.outerHTML.slice(0, 200))"""


def look(page: Page, width: int, scheme: Scheme) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)


def faults(page: Page, name: str, rules: bool = True) -> list[tuple[str, str, Any]]:
    """What is wrong with the tab in sight: (tab, rule, where). rules: look also at what assistive technology needs."""
    page.wait_for_function(AT_REST)
    found: list[tuple[str, str, Any]] = [(name, "no name", one) for one in page.evaluate(NAMELESS)]
    beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if beyond > 0:
        found.append((name, "cut off", f"{beyond} pixels"))
    if not rules:
        return found
    checked = Axe().run(page, LEFT_OUT, OPTIONS).response
    assert checked["passes"], "something was looked at"
    return found + [(name, v["id"], [n["html"][:200] for n in v["nodes"]]) for v in checked["violations"]]


def walk(page: Page, widths: Sequence[int], scheme: Scheme) -> list[tuple[str, str, Any]]:
    """What is wrong with any tab or part at some width, once it is drawn; Generate with its folds open.

    What assistive technology needs is looked at in the first width, as it takes seconds a look.
    """
    found = []
    for name, part in PARTS:
        tab(page, name, part)
        if name == "Memorization":
            expect(page.locator("#copy-query img")).to_be_visible()
            unfold(page, "copy-fold")
        for width in widths:
            look(page, width, scheme)
            for drawn in DRAWN[part or name]:
                expect(page.locator(drawn).last).to_be_visible()
            if name == "Generate":
                for fold in ("recipe-fold", "upload-fold", "batch-fold"):
                    unfold(page, fold)
                expect(page.locator("#steps input[type=number]")).to_be_visible()
            found += faults(page, f"{part or name}, {width} pixels", rules=width == widths[0])
    return found


def test_every_part_of_the_page_is_looked_at() -> None:
    assert [part or name for name, part in PARTS] == list(DRAWN)


@pytest.mark.parametrize(
    ("scheme", "widths"), [("light", [PHONE, SMALLEST, DESKTOP]), ("dark", [DESKTOP, PHONE])]
)
def test_every_tab_is_accessible_and_whole(
    page: Page, pocket_app: str, scheme: Scheme, widths: Sequence[int]
) -> None:
    look(page, widths[0], scheme)
    page.goto(pocket_app)
    expect(page.locator("#made img")).to_be_visible()
    assert walk(page, widths, scheme) == []
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")


def test_a_page_full_of_images_is_whole(page: Page, shapes_app: str, tmp_path: Path) -> None:
    look(page, PHONE, "light")
    page.goto(shapes_app)
    expect(page.locator("#status")).to_contain_text("red cat")
    for count in range(1, 8):  # more than stand beside each other on a phone
        upload(page, shape_image(count), tmp_path / f"{count}.png")
        expect(page.locator("#history .thumbnail-item")).to_have_count(count)
    tab(page, "My artwork")
    for seed in range(900, 912):
        shape_image(seed).save(tmp_path / f"piece-{seed}.png")
    page.locator("#artist input, #artist textarea").first.fill("Ada")
    page.locator("#artwork-upload input[type=file]").set_input_files(sorted(tmp_path.glob("piece-*.png")))
    expect(page.locator("#artwork-pieces img")).to_have_count(12)
    expect(page.locator("#survey-pictures img")).to_have_count(4)
    page.locator("#ask-credited").click()
    page.locator("#credited-fold > button").click()
    expect(page.locator("#credited-plot .main-svg").first).to_be_visible()
    page.locator("#survey-fold > button").click()
    expect(page.locator("#survey-ranks .main-svg").first).to_be_visible()
    found = []
    looks: tuple[tuple[int, Scheme], ...] = ((PHONE, "light"), (DESKTOP, "dark"))
    for width, scheme in looks:
        look(page, width, scheme)
        for name, part, drawn in (
            ("Generate", "", "#history"),
            ("Attribution", "By image", "#report-html"),
            ("Attribution", "By maker", "#ledger-csv"),
            ("My artwork", "", "#survey-ranks .main-svg"),
            ("Evidence", "Compare", "#slopes .main-svg"),
        ):
            tab(page, name, part)
            expect(page.locator(drawn).first).to_be_visible()
            found += faults(page, part or name)
    assert found == []


def test_without_a_generator_the_second_opinion_says_so_and_is_whole(page: Page, own_app: str) -> None:
    look(page, PHONE, "light")
    page.goto(own_app)
    tab(page, "Attribution", "Second opinion")
    expect(page.locator("#opinion-status")).to_contain_text("This collection has no generator")
    page.locator("#opinion-know button").first.click()
    expect(page.locator("#opinion-measured")).to_contain_text("was not measured")
    found = faults(page, "on a phone")
    look(page, DESKTOP, "dark")
    assert found + faults(page, "in the dark") == []
