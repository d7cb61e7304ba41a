"""What an attribution amounts to, on similarities and captions chosen by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from attribution_core.attribution.finding import UNNAMED_SHARE, Pattern, find, named_share, subject_words
from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit
from attribution_core.reports.wording.doubt import doubt_words
from attribution_core.reports.wording.headline import headline, similarity_headline
from attribution_core.scoring.shares import Scale
from tests.support.similarities import hits_of

T = 0.05
TOP = 40


def attribution(shares: list[float], captions: list[str], n: int = 2000) -> Attribution:
    """An attribution whose first images hold exactly these shares; the others share the rest evenly."""
    rest = (1 - sum(shares)) / (n - len(shares))
    values = T * np.log(np.array([*shares, *[rest] * (n - len(shares))]))
    values -= values.max() - 0.95
    named = [*captions, *[""] * (TOP - len(captions))]
    credits = tuple(
        Credit(id=f"i{k}", caption=caption, creator=f"maker {k % 5}" if caption else "", style="flat")
        for k, caption in enumerate(named)
    )
    hits = hits_of(values[None].astype(np.float32), TOP, 4096)
    return Attribution(hits, credits, Scale(T), T, "toy", "fake", MadeBy.THIS_GENERATOR)


HOUSES = ["old house, flat style", "houses, building, flat style", "house on a hill", "green house", "barn"]


@pytest.mark.parametrize(
    ("shares", "captions", "pattern", "places", "words"),
    [
        ([0.4, 0.1], ["cat", "dog"], Pattern.ONE, (0,), "One training image stands out: “cat” by maker 0, with 40%"),
        ([0.25, 0.2], ["cat", "dog"], Pattern.FEW, (0, 1), "Two training images hold 45% of the influence"),
        ([0.35, 0.2], ["cat", "dog"], Pattern.FEW, (0,), "The strongest is “cat” by maker 0, with 35%"),
        ([0.1, 0.09, 0.08, 0.07, 0.06], HOUSES, Pattern.THEME, (0, 1, 2, 3), "More “house” than anything else: 34%"),
        ([0.2, 0.19, 0.18, 0.07, 0.06], HOUSES, Pattern.THEME, (0, 1, 2, 3), "Mostly “house”: 64% comes from 4 works"),
        ([0.1, 0.05], ["cat", "dog"], Pattern.SPREAD, (0,), "No single source: the influence is spread over about"),
        ([0.19, 0.05], ["cat", "dog"], Pattern.SPREAD, (0,), "No single source"),
    ],
)  # fmt: skip
def test_patterns(
    shares: list[float], captions: list[str], pattern: Pattern, places: tuple[int, ...], words: str
) -> None:
    result = attribution(shares, captions)
    found = find(result)
    assert (found.pattern, found.places) == (pattern, places)
    assert found.influence == pytest.approx(sum(shares[p] for p in places), abs=0.005)
    assert headline(result).startswith(words)


def test_a_theme_counts_makers_once_and_needs_enough_works_and_share() -> None:
    found = find(attribution([0.1, 0.09, 0.08, 0.07, 0.06], HOUSES))
    assert (found.theme, found.creators) == ("house", 4)
    assert find(attribution([0.1, 0.09, 0.08], HOUSES[:3])).pattern is Pattern.SPREAD, (
        "three works are too few"
    )
    assert find(attribution([0.03, 0.02, 0.02, 0.02], HOUSES[:4])).pattern is Pattern.SPREAD, (
        "too small a share"
    )


def test_near_duplicates_are_one_work() -> None:
    result = attribution([0.1, 0.09, 0.08, 0.07], HOUSES[:4])
    same = tuple(dataclasses.replace(c, work="i0") if k < 4 else c for k, c in enumerate(result.credits))
    found = find(dataclasses.replace(result, credits=same))
    assert found.pattern is Pattern.ONE, "four copies of one work hold a third of the influence"
    assert found.influence == pytest.approx(0.34, abs=0.005)


@pytest.mark.parametrize(
    ("credit", "words"),
    [
        (Credit(caption="two red houses, building, noto style", style="noto"), ["house"]),
        (Credit(caption="glass bus", style="glass"), ["bus"]),
        (Credit(short_caption="fox, noto style", caption="cat", style="noto"), ["fox"]),
        (Credit(caption="a 3D ox"), []),
        (Credit(), []),
    ],
)
def test_words_that_may_name_a_subject(credit: Credit, words: list[str]) -> None:
    assert list(subject_words(credit)) == words


def test_likeness_alone_names_no_share() -> None:
    words = similarity_headline(attribution([0.4, 0.1], ["cat", "dog"]))
    assert words == "The most similar training image is “cat” by maker 0"


@pytest.mark.parametrize(
    ("prompt", "share"),
    [
        ("house, noto style", 0.34),
        ("red houses", 0.34),
        ("barn", 0.06),
        ("house with a barn", 0.4),
        ("hill", 0.08),
        ("coffee, house style", 0.0),
        ("red, house", None),
        ("", None),
    ],
)
def test_the_share_of_works_that_a_prompt_names(prompt: str, share: float | None) -> None:
    found = named_share(attribution([0.1, 0.09, 0.08, 0.07, 0.06], HOUSES), prompt)
    assert found == (None if share is None else pytest.approx(share, abs=0.005))


def test_an_image_is_doubted_where_works_that_the_prompt_names_hold_too_little() -> None:
    result = attribution([0.1, UNNAMED_SHARE + 0.002, UNNAMED_SHARE - 0.002], ["cat", "cow", "dog"])
    assert doubt_words(result, "a dog, noto style") == (
        "The image may not show “a dog”: under 3% of its influence comes from training images with such words. "
        "Another seed or style may do better."
    )
    assert (
        doubt_words(result, "cow, noto style")
        == doubt_words(result, "cat")
        == doubt_words(result, "red")
        == ""
    )
    assert doubt_words(result, "owl " * 11).startswith("The image may not show what was asked for: ")
