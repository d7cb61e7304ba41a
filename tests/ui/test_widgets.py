"""What tabs say as HTML: the numbers of the result, and strangers' words as words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from attribution_core.analyses.regions import Box, Region
from attribution_core.attribution.attributor import Attributor
from attribution_core.evidence.memorization import MemorizationEvidence
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe
from tests.support.evidence import told_evidence, write_evidence
from tests.support.fakes import fake_collection, shape_image
from tests.support.verdicts import CREDIT, verdict
from ui.services.app import Query
from ui.services.regions import AttributedRegion
from ui.widgets import memorization_html, regions_html

HOSTILE = "<script>alert('x')</script>\"'&"


@pytest.fixture
def evidence(tmp_path: Path) -> MemorizationEvidence:
    found = MemorizationEvidence.open(write_evidence(tmp_path, told_evidence()))
    assert found is not None
    return found


def test_a_verdict_shows_names_as_text(evidence: MemorizationEvidence) -> None:
    credit = replace(CREDIT, short_caption=HOSTILE, creator=HOSTILE)
    shown = memorization_html.headline(
        Query(shape_image(1), HOSTILE), replace(verdict(0.7, 0.4), credit=credit), evidence
    )
    assert "<script" not in shown and shown.count("&lt;script&gt;") == 3
    assert "<script" not in memorization_html.blink(shape_image(1), shape_image(2), HOSTILE, HOSTILE)
    assert "<script" not in memorization_html.impossible(HOSTILE)


def test_a_near_miss_that_stands_apart_says_so(evidence: MemorizationEvidence) -> None:
    query = Query(shape_image(1), "one")
    assert "stands apart" in memorization_html.headline(query, verdict(0.7, 0.4), evidence)
    assert "stands apart" not in memorization_html.headline(query, verdict(0.7, 0.6), evidence)
    assert "stands apart" not in memorization_html.headline(query, verdict(0.9, 0.4), evidence), (
        "it is a copy"
    )
    assert "stands apart" not in memorization_html.headline(query, verdict(0.7, 0.4), None)


def test_the_drop_off_stands_beside_measured_ones(evidence: MemorizationEvidence) -> None:
    alone, beside = (memorization_html.drop_words(verdict(0.9, 0.4), e) for e in (None, evidence))
    assert "0.500, after 1 image." in alone and "planted" not in alone
    assert "a drop-off of 0.300 or more" in beside and "stay below 0.200" in beside


def test_a_signal_is_compared_only_where_it_was_measured(evidence: MemorizationEvidence) -> None:
    query = Query(shape_image(1), "one", Recipe("one", 1, 2, 3.5), noise_signal=NoiseSignal((3.0, 5.0)))
    assert "signal of 4.00" in memorization_html.signal_words(query, None)
    assert "never measured" in memorization_html.signal_words(query, None)
    at = memorization_html.signal_words(query, evidence)
    assert "stronger than in" in at and "rough" not in at
    other = replace(query, recipe=Recipe("one", 1, 9, 3.5))
    assert "9 steps and guidance 3.5, so the comparison is rough" in memorization_html.signal_words(
        other, evidence
    )
    assert "No signal was recorded" in memorization_html.signal_words(None, evidence)


def test_a_regions_answer_names_the_closest_as_text(tmp_path: Path) -> None:
    result = Attributor(fake_collection(tmp_path, n=30)).attribute(shape_image(7), 5)
    credit = replace(result.credits[0], caption=HOSTILE, creator=HOSTILE)
    hostile = replace(result, credits=(credit, *result.credits[1:]))
    region = Region(Image.new("RGB", (8, 8)), Box(0, 0, 0.5, 0.5), 0.25, True)
    shown = regions_html.answer(AttributedRegion(region, hostile))
    assert "The painted part (25% of the image)" in shown
    assert "<script" not in shown and shown.count("&lt;script&gt;") == 2
    ranks = [row[2] for row in regions_html.table(result, result.head(2))["data"]]
    assert ranks == ["1", "2", "over 2", "over 2", "over 2"]
    assert [row[2] for row in regions_html.table(result, None)["data"]] == [""] * 5
