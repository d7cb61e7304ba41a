"""Shares as they can be said: to the digits that their evidence allows."""

from __future__ import annotations

import pytest

from attribution_core.common.text import first_line, one_in, percent, percent_range, rounded_percent


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "< 0.01%"), (0.00012, "0.01%"), (0.0345, "3.45%"), (0.345, "34.5%"), (1.0, "99.9%")],
)
def test_shares_are_never_a_false_zero_or_hundred(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "under 0.1%"),
        (0.00049, "under 0.1%"),
        (0.0044, "0.4%"),
        (0.0096, "1%"),
        (0.131094, "13%"),
        (0.9949, "99%"),
        (1.0, "over 99%"),
    ],
)
def test_a_visitor_reads_whole_percents(share: float, words: str) -> None:
    assert rounded_percent(share) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.131, "about 1 in 8"),
        (0.05, "about 1 in 20"),
        (0.46, "about 1 in 2"),
        (0.049, ""),
        (0.7, ""),
        (0.0, ""),
    ],
)
def test_a_share_is_a_count_where_that_helps(share: float, words: str) -> None:
    assert one_in(share) == words


def test_an_interval_has_the_digits_that_differ() -> None:
    assert percent_range(0.131094, 0.131094) == "13%"
    assert percent_range(0.121, 0.142) == "12% to 14%"
    assert percent_range(0.002, 0.0041) == "0.2% to 0.4%"


@pytest.mark.parametrize(
    ("text", "words"),
    [("\n  denied \nask again", "denied"), ("x" * 300, "x" * 200), ("", "ValueError"), (" \n", "ValueError")],
)
def test_the_first_line_of_an_error_is_its_kind_where_it_has_none(text: str, words: str) -> None:
    assert first_line(ValueError(text)) == words
