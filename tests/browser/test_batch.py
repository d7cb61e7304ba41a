"""Many images at once in the browser: a ZIP file in, a stop, the rest, tables and a file out."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from attribution_core.common.images import png_bytes
from tests.support.browser import saved, unfold
from tests.support.fakes import shape_image


def test_a_zip_file_becomes_tables_and_a_stop_keeps_what_is_done(
    page: Page, shapes_app: str, tmp_path: Path
) -> None:
    large = [png_bytes(shape_image(seed, 1200)) for seed in range(3)]  # so that there is time to stop
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for number in range(90):
            archive.writestr(f"{number:02d}.png", large[number % 3])
        archive.writestr("broken.png", b"no image")
    page.goto(shapes_app)
    unfold(page, "batch-fold")
    page.locator("#batch-start").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("There are no images yet")
    page.locator("#batch-files input[type=file]").set_input_files(tmp_path / "some.zip")
    expect(page.locator("#batch-files")).to_contain_text("some.zip")
    page.locator("#batch-claim input").check()
    page.locator("#batch-start").click()
    expect(page.locator("#batch-status")).to_contain_text("Begun.", timeout=1000)
    expect(page.locator("#batch-status [role=progressbar]")).to_be_visible()
    page.locator("#batch-stop").click()
    expect(page.locator("#batch-status")).to_contain_text("of 91 images; what is done stays")
    expect(page.locator("#batch-images")).to_contain_text("00.png")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-status")).to_contain_text("Done: 91 images.")
    expect(page.locator("#batch-words")).to_contain_text(
        "90 images attributed, 87 of them the same file as another and counted once, 1 could not be read"
    )
    expect(page.locator("#batch-means")).to_contain_text("over 3 images with shares")
    table = page.locator("#batch-images .table-wrap").first
    assert table.evaluate("(one) => one.scrollWidth <= one.clientWidth"), "no column is cut off"
    rows = list(csv.DictReader(saved(page, "#batch-images-csv", tmp_path).open()))
    assert [row["image"] for row in rows] == [*(f"{number:02d}.png" for number in range(90)), "broken.png"]
