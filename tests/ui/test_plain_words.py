"""Scores and Reliability in plain words: the sentence fits what was measured, and its figures are the measured ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from attribution_core.add_one_in.reliability import reliability
from attribution_core.common.estimates import Estimate
from attribution_core.evidence.benchmark import Calibrated
from tests.attribution.test_finding import attribution
from ui.services.app import Query
from ui.tabs.evidence import _in_words
from ui.tabs.scores import _sentence

MARKS = np.eye(50, dtype=bool)
EVEN = reliability(np.full(MARKS.shape, 1 / 50), MARKS)


def around(value: float, width: float) -> Estimate:
    return Estimate(value, value - width, value + width)


@pytest.mark.parametrize(
    ("share", "width", "gain", "helps", "scale"),
    [
        (0.4, 0.1, 2.5, "A true source typically gets 40.0% of the influence, 20 times", "12 times"),
        (0.05, 0.1, 0.9, "A true source typically gets 5.00% of the influence, 2.5 times", "2.5 times"),
        (0.03, 1.0, 0.4, "It is unclear whether these shares help.", "no clear diff"),
        (0.01, 0.1, -1.0, "These shares mislead: do not rely on them for such images.", "less than likeness alone"),
    ],
)  # fmt: skip
def test_the_words_follow_the_intervals(
    share: float, width: float, gain: float, helps: str, scale: str
) -> None:
    nll = -math.log(share)
    calibrated = Calibrated(
        "case",
        math.log(50),
        around(nll + gain, width),
        around(nll, width),
        around(gain, 0.5),
        replace(EVEN, misplaced=0.711),
        replace(EVEN, misplaced=0.043),
    )
    words = _in_words(calibrated)
    assert helps in words and scale in words
    assert "4% of the influence would have to move. By likeness alone, it would be 71%." in words


def test_the_scores_are_those_of_the_image_and_a_moved_scale_is_named() -> None:
    result = attribution([0.5, 0.3], ["<cat>", "dog"], n=102)
    query = Query(Image.new("RGB", (8, 8)), "<cat>")
    words = _sentence(query, result)
    # The exponential of the entropy: of two listed, and of a hundred that share a fifth.
    shared = f"{2**0.5 * (1 / 0.3) ** 0.3 * 500**0.2:.0f}"
    assert f"For “&lt;cat&gt;”, the influence is spread as if about {shared} of 102 training images " in words
    assert "The strongest holds 50%, the first 40 together 88%." in words
    assert "it would spread the influence over 10" in words and "You moved the scale" not in words
    assert "You moved the scale" in _sentence(query, result.at_temperature(0.1))
