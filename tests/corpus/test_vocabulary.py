"""Prompts in the form of the captions that a generator was trained on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from attribution_core.corpus.vocabulary import Vocabulary


def corpus(rows: list[tuple[str, str]]) -> Any:
    columns = {"short_caption": [c for c, _ in rows], "style": [s for _, s in rows]}
    return SimpleNamespace(column=columns.__getitem__)


STYLES = ("noto", "blob", "clip art", "flat", "line")
KNOWN = Vocabulary.of(
    corpus(
        [(f"fox, {s} style", s) for s in STYLES]
        + [("owl, noto style", "noto"), ("a photo", "noto"), ("x", "")]
    )
)


def test_styles_by_frequency_and_things_that_many_styles_show() -> None:
    assert KNOWN.styles[0] == "noto" and set(KNOWN.styles) == set(STYLES)
    assert KNOWN.things == ("fox",)


def test_captions_of_another_form_give_none() -> None:
    assert Vocabulary.of(corpus([("a photo of a fox", ""), ("fox", "oil")])) == Vocabulary()


@pytest.mark.parametrize(
    ("prompt", "style", "full"),
    [
        ("a red bicycle", "noto", "red bicycle, noto style"),
        ("The  House.", "blob", "House, blob style"),
        ("fox, noto style", "blob", "fox, noto style"),
        ("a fox in clip art Style", "blob", "a fox in clip art Style"),
        ("anchor", "noto", "anchor, noto style"),
        ("a fox", "", "a fox"),
        ("  ", "noto", ""),
        ("a", "noto", "a, noto style"),
        ("stylish fox", "noto", "stylish fox, noto style"),
    ],
)
def test_a_prompt_gets_the_style_that_it_lacks(prompt: str, style: str, full: str) -> None:
    assert KNOWN.complete(prompt, style) == full


@pytest.mark.parametrize(
    ("example", "style"),
    [("heart, blob style", "blob"), ("heart, oil style", "noto"), ("heart blob", "noto"), ("", "noto")],
)
def test_the_usual_style_is_that_of_the_example_where_it_is_known(example: str, style: str) -> None:
    assert KNOWN.usual_style(example) == style
    assert Vocabulary().usual_style(example) == ""
