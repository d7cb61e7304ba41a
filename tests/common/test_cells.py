"""Cells of other people's tables become words, and what is missing becomes nothing."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution_core.common.cells import as_text, file_name, replace_surrogates

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.binary(max_size=8)
    | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (None, "", ""),
        (float("nan"), "creator", ""),
        ("nan", "creator", ""),
        ("Nan Goldin", "creator", "Nan Goldin"),
        ([], "caption", ""),
        ({}, "creator", ""),
        ([None, float("nan")], "creator", ""),
        (" a cat ", "caption", "a cat"),
        (["Ada", "Ben", "Cleo"], "creator", "Ada, Ben and Cleo"),
        (["Ada", "Ada"], "creator", "Ada"),
        (["a cat", "a kitten"], "caption", "a cat; a kitten"),
        ([{"name": "Ada"}, {"name": "Ben"}], "creator", "Ada and Ben"),
        ({"name": "Cy", "url": "https://cy.example"}, "creator", "Cy"),
        ({"name": "Cy", "url": "https://cy.example"}, "link", "https://cy.example"),
        ({"en": "a cat", "de": "eine Katze"}, "caption", "en: a cat; de: eine Katze"),
        (12.0, "group", "12"),
        (1.5, "group", "1.5"),
        (True, "held_out", "true"),
        (b"caf\xe9", "caption", "caf\ufffd"),
        ("a \ud83d b", "caption", "a \ufffd b"),
        (datetime.date(2026, 1, 2), "source_version", "2026-01-02"),
    ],
)
def test_what_a_cell_says(value: object, column: str, text: str) -> None:
    assert as_text(value, column) == text


@given(_VALUES)
def test_any_cell_becomes_text_that_files_take(value: object) -> None:
    text = as_text(value, "creator")
    text.encode("utf-8")
    assert text == text.strip()
    assert not isinstance(value, list) or not text or text != str(value)


@given(st.text(st.characters()))
def test_mended_text_is_utf8_and_the_same_where_nothing_was_wrong(text: str) -> None:
    replace_surrogates(text).encode("utf-8")
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert replace_surrogates(text) == text


@given(st.binary(min_size=1, max_size=12), st.binary(min_size=1, max_size=12))
def test_file_names_that_are_no_utf8_stay_apart(one: bytes, other: bytes) -> None:
    names = [raw.decode("utf-8", "surrogateescape") for raw in (one, other)]
    for name in names:
        file_name(name).encode("utf-8")
    if one != other and not any("%" in name for name in names):
        assert file_name(names[0]) != file_name(names[1])


def test_json_of_lone_surrogates_is_mended() -> None:
    assert as_text(json.loads('"\\ud83d\\ude00 and \\ud83d"')) == "😀 and \ufffd"
