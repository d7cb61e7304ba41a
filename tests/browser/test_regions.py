"""The tab Regions in a browser: by numbers, by clicks, by painting, on a phone, and through the API."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.settings import Settings
from tests.support.browser import tab
from tests.support.fakes import fake_collection, shape_image
from ui.services.app import Query, Services
from ui.services.regions import RegionServices, between, box_of, corner_at, read_mask


def upload(page: Page, image: Image.Image, path: Path) -> None:
    image.save(path)
    page.locator("#upload input[type=file]").set_input_files(path)
    tab(page, "Attribution")
    expect(page.locator("#headline")).to_contain_text(f"“{path.stem}”")


def two_shapes() -> Image.Image:
    """Training image 7 in the top left quarter, 12 in the bottom right one."""
    image = Image.new("RGB", (128, 128), "white")
    image.paste(shape_image(7), (0, 0))
    image.paste(shape_image(12), (64, 64))
    return image


def test_a_box_by_numbers_and_by_clicks_finds_what_is_in_it(own: Page, tmp_path: Path) -> None:
    tab(own, "Regions")
    expect(own.locator("#grid-words")).to_contain_text("Nothing to look at yet")
    own.locator("#look-box").click()
    expect(own.get_by_test_id("toast-body")).to_contain_text("There is no image yet")
    tab(own, "Generate")
    upload(own, two_shapes(), tmp_path / "two.png")
    tab(own, "Regions")
    expect(own.locator("#region-preview img")).to_be_visible()
    # With the keyboard alone: numbers, Tab, Enter.
    for name, value in (("left", 0), ("right", 50), ("top", 0), ("bottom", 50)):
        own.locator(f"#region-{name} input[type=number]").fill(str(value))
        own.keyboard.press("Tab")
    own.locator("#look-box").focus()
    own.keyboard.press("Enter")
    expect(own.locator("#region-found")).to_contain_text(
        "25% of the image, is closest to “black circle, flat style”"
    )
    expect(own.locator("#region-gallery .thumbnail-item")).to_have_count(12)
    own.locator("#region-table-fold button").first.click()
    expect(own.locator("#region-table")).to_contain_text("shape/0007")
    # Two clicks, from corner to corner.
    picture = own.locator("#region-preview img")
    picture.scroll_into_view_if_needed()
    spot = picture.bounding_box()
    assert spot is not None
    side = min(spot["width"], spot["height"])
    left, top = spot["x"] + (spot["width"] - side) / 2, spot["y"] + (spot["height"] - side) / 2
    own.mouse.click(left + side - 2, top + side - 2)
    expect(own.locator("#region-left input[type=number]")).to_have_value("0")
    own.wait_for_timeout(800)
    own.mouse.click(left + side / 2, top + side / 2)
    expect(own.locator("#region-right input[type=number]")).not_to_have_value("50")
    assert abs(float(own.locator("#region-left input[type=number]").input_value()) - 50) <= 2
    own.locator("#look-box").click()
    expect(own.locator("#region-found")).to_contain_text("purple square, flat style")
    # An edge on the wrong side.
    own.locator("#region-right input[type=number]").fill("10")
    own.locator("#region-right input[type=number]").blur()
    expect(own.locator("#region-wrong")).to_contain_text("left edge must lie left of its right one")
    own.locator("#look-box").click()
    expect(own.get_by_test_id("toast-body").filter(has_text="must lie left")).to_be_visible()
    own.locator("#regions-know button").first.click()
    expect(own.locator("#regions-measured")).to_contain_text("was not measured")


def test_what_is_painted_is_looked_at_and_stays_when_the_tab_is_left(opened: Page) -> None:
    expect(opened.locator("#made img")).to_be_visible()
    tab(opened, "Regions")
    expect(opened.locator("#grid-map .main-svg").first).to_be_visible()
    expect(opened.locator("#grid-words")).to_contain_text("closest to an image of creator")
    opened.get_by_label("what I paint").check()
    canvas = opened.locator("#region-paint canvas").first
    expect(canvas).to_be_visible()
    opened.wait_for_timeout(2000)  # the editor brings the picture up on a canvas of its own
    opened.locator("#look-paint").click()
    expect(opened.get_by_test_id("toast-body")).to_contain_text("painted")
    canvas.scroll_into_view_if_needed()
    spot = canvas.bounding_box()
    assert spot is not None
    x, y = spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2
    opened.mouse.move(x - 40, y)
    opened.mouse.down()
    opened.mouse.move(x + 40, y, steps=6)
    opened.mouse.up()
    opened.wait_for_timeout(500)
    opened.locator("#look-paint").click()
    expect(opened.locator("#region-found")).to_contain_text("The painted part")
    before = opened.locator("#region-found").inner_text()
    tab(opened, "Scores")
    tab(opened, "Regions")
    expect(opened.locator("#region-found")).to_be_visible()
    opened.wait_for_timeout(1500)  # what would be drawn anew would be by now
    expect(opened.locator("#region-found")).to_have_text(before, use_inner_text=True)
    opened.get_by_label("style", exact=True).last.check()
    cells = opened.locator("#grid-cells input[type=number]")
    cells.fill("7")
    cells.press("Enter")
    cells.blur()
    expect(opened.locator("#grid-words")).to_contain_text("of style")
    expect(opened.locator("#grid-words")).to_contain_text(re.compile(r"of (2[0-9]|3[0-9]|4[0-9]) fields"))
    opened.locator("#regions-know button").first.click()
    expect(opened.locator("#regions-measured")).to_contain_text("box off by 25%")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_nothing_is_cut_off(browser: Browser, pocket_app: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(pocket_app)
    expect(page.locator("#made img")).to_be_visible()
    tab(page, "Regions")
    expect(page.locator("#grid-map .main-svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    unnamed = page.evaluate("""[...document.querySelectorAll('input, button')].filter(e => e.offsetParent
        && !(e.labels && e.labels.length) && !e.ariaLabel && !e.title && !e.innerText.trim()
        && !e.getAttribute('aria-labelledby') && !e.querySelector('img[alt]:not([alt=""])')).map(e => e.outerHTML)""")
    page.close()
    assert unnamed == []


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return Services.open(
        Settings(collection=fake_collection(tmp_path_factory.mktemp("rs") / "shapes", n=60).path)
    )


def layer(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> bytes:
    image, out = Image.new("RGBA", size), io.BytesIO()
    for box in boxes:
        image.paste((208, 72, 62, 255), box)
    image.save(out, "PNG")
    return out.getvalue()


def test_layers_become_one_mask() -> None:
    mask = read_mask([layer((8, 8), (0, 0, 2, 2)), layer((4, 4), (3, 3, 4, 4))])
    expected = np.zeros((8, 8), bool)
    expected[:2, :2] = expected[6:, 6:] = True
    assert (mask == expected).all()


def test_bad_layers_edges_and_clicks_are_refused_or_kept_inside(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, query = RegionServices(services), Query(shape_image(3), "three")
    with pytest.raises(InvalidInputError, match="nothing is painted yet"):
        asked.painted(query, None, [])
    with pytest.raises(InvalidImageError, match="could not be read"):
        asked.painted(query, None, [b"no image"])
    monkeypatch.setattr("ui.services.regions.MAX_PIXELS", 63)
    with pytest.raises(InvalidImageError, match="too many pixels"):
        read_mask([layer((8, 8))])
    with pytest.raises(InvalidInputError, match="edges is empty"):
        asked.box(query, None, [None, 50, 0, 50])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="within the image"):
        box_of([0, 120, 0, 50])
    with pytest.raises(InvalidInputError, match="no image yet"):
        asked.grid(None, None, "creator", 4)
    with pytest.raises(InvalidInputError, match="cells"):
        asked.grid(query, None, "creator", 2.5)
    assert corner_at((600, -3), (512, 512)) == (100, 0)
    assert between((80, 10), (20, 40)) == (20, 80, 10, 40)
    assert between((100, 0), (100, 0)) == (98, 100, 0, 2)


def test_the_measured_test_is_read_or_said_to_be_damaged(services: Services) -> None:
    assert RegionServices(services).measured is None
    path = services.collection.path / "evidence/regions.json"
    path.parent.mkdir()
    path.write_text('{"methods": 3}')
    with pytest.raises(CheckpointError, match=r"pocket\.evidence\.regions"):
        _ = RegionServices(services).measured
    told = RegionServices(Services.open(Settings())).measured
    assert told is not None and told.cases >= 100
    assert [view.view for view in next(iter(told.methods.values()))][0] == "true box"
