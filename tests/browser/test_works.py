"""Near-duplicates in a browser: one entry in the gallery, its copies in the details, credited once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from attribution_core.collection.build import SourceOptions, build_collection
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.settings import Settings
from tests.support.browser import listed, start, tab, upload, watched
from tests.support.fakes import ENCODER, shape_image


@pytest.fixture(scope="module")
def reposted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a folder in which one drawing is there three times, by two people."""
    folder = tmp_path_factory.mktemp("reposted")
    (folder / "images").mkdir()
    for i in range(30):
        shape_image(i).save(folder / f"images/{i:02d}.png")
    for name in ("07-big", "07-small"):
        shape_image(7).resize((96, 96) if "big" in name else (48, 48)).save(folder / f"images/{name}.png")
    (folder / "who.csv").write_text(
        "file,creator\n07.png,Ada\n07-big.png,Shop\n07-small.png,Shop\n09.png,Ben\n"
    )
    collection = build_collection(
        folder / "images", folder / "mine", encoder=ENCODER, source=SourceOptions(metadata=folder / "who.csv")
    ).collection
    Calibrator.from_temperature(0.01, ENCODER).save(collection.path / "calibrator")
    yield from start(Settings(port=0, collection=collection.path))


def test_three_of_one_work_are_one_entry(page: Page, reposted: str, tmp_path: Path) -> None:
    for opened in watched(page, reposted):
        upload(opened, shape_image(7), tmp_path / "seven.png", claimed=True)
        tab(opened, "Attribution", "By image")
        expect(opened.locator("#headline .found h2")).to_contain_text(
            re.compile("by (Ada and Shop|Shop and Ada), with")
        )
        expect(listed(opened)).to_have_count(10)
        expect(listed(opened).first).to_contain_text("×3")
        expect(listed(opened).nth(1)).to_contain_text("· 15")
        listed(opened).nth(1).click()
        expect(opened.locator("#facts")).to_contain_text("4 of 32")
        expect(opened.locator("#facts")).not_to_contain_text("near-duplicate")
        listed(opened).first.click()
        expect(opened.locator("#facts")).to_contain_text("with 2 near-duplicates")
        tab(opened, "Attribution", "By maker")
        expect(opened.locator("#credit-words")).to_contain_text("Ada or Shop")
