"""A scan of many images as JSON and as one HTML file."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from PIL import Image

from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.collection.collection import Collection
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.scan import Scan, ScannedImage
from attribution_core.reports.scan_html import scan_page
from tests.support.fakes import copying_collection, shape_image


def scan_of(collection: Collection) -> Scan:
    checker = Memorization(collection)
    images = [shape_image(17), Image.new("RGB", (64, 64), "black")]
    items = [
        ScannedImage(f"<i>{k}</i>", image, v, Recipe("a <b>prompt</b>", k), NoiseSignal((1.0, 2.0)))
        for k, (image, v) in enumerate(zip(images, checker.check_all(images), strict=True))
    ]
    return Scan.of(items[::-1], collection)


def test_a_scan_lists_the_closest_first_as_json_and_as_html(tmp_path: Path) -> None:
    scan = scan_of(copying_collection(tmp_path))
    told = json.loads(scan.to_json())
    assert [item["title"] for item in told["items"]] == ["<i>0</i>", "<i>1</i>"]
    assert told["copies"] == 1 and told["sentence"].startswith("1 of 2 images is most likely")
    assert told["items"][0]["noise_signal"] == {"mean": 1.5, "steps": [1.0, 2.0]}
    assert told["prompts"][0]["match"] == "shape/0017" and told["how_noise_signal"]
    page = scan_page(scan)
    assert "<script" not in page and "<i>" not in page and "a <b>prompt" not in page
    assert "&lt;i&gt;0&lt;/i&gt;" in page and page.count("data:image") == 4
    with pytest.raises(InvalidInputError, match="no image"):
        Scan.of([], scan.corpus_of)


def test_hostile_text_in_every_field_of_a_scan_is_escaped(tmp_path: Path) -> None:
    scan = scan_of(copying_collection(tmp_path))
    hostile = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&"
    names = [field.name for field in fields(Credit) if field.type == "str"]
    credit = Credit(**{name: hostile for name in names} | {"link": f"https://example.org/{hostile}"})
    items = tuple(
        replace(
            item,
            title=hostile,
            verdict=replace(item.verdict, credit=credit, encoder=hostile),
            recipe=Recipe(hostile, k, generator=hostile, software=hostile),
        )
        for k, item in enumerate(scan.items)
    )
    page = scan_page(replace(scan, items=items, made=hostile))
    assert "<script" not in page and "<img src=x" not in page
    assert page.count("&lt;script&gt;") > 10, "it is shown as text"
    assert set(re.findall(r"<(\w+)", page)) == set(re.findall(r"<(\w+)", scan_page(scan)))
