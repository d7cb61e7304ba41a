"""What axe, the accessibility checker, finds on the page: nothing on any tab, light on a desktop, dark on a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.support.browser import tab
from ui.page import TABS

# What each tab draws last.
DRAWN = {
    "Generate": "#examples img",
    "Attribution": "#gallery img",
    "Scores": "#histogram .main-svg",
    "Regions": "#grid-map .main-svg",
    "Credit": "#credit-map .main-svg",
    "My artwork": "#ask-learned",
    "Memorization": "#copy-query img",
    "Second opinion": "#ask-opinion",
    "Compare": "#slopes .main-svg",
    "Evidence": "#copies .main-svg",
}
# Gradio's own, where an application has no say: a gallery gives an image's caption as its alternative text, too, and
# what stands in for an empty gallery has a label on an element without a role.
OPTIONS = {"rules": {"image-redundant-alt": {"enabled": False}}}
LEFT_OUT = {"exclude": [["[aria-label='Empty value']"]]}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_violation(pocket_app: str, browser: Browser, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(pocket_app)
    expect(page.locator("#made img")).to_be_visible()
    found = []
    for name, _ in TABS:
        tab(page, name)
        expect(page.locator(DRAWN[name]).last).to_be_visible()
        page.wait_for_timeout(500)  # what fades in has its colours only then
        checked = Axe().run(page, LEFT_OUT, OPTIONS).response
        assert checked["passes"], "something was looked at"
        found += [(name, v["id"], [n["html"][:200] for n in v["nodes"]]) for v in checked["violations"]]
    page.close()
    assert found == []
