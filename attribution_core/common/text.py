"""Formats numbers, lists and links for the app, reports and docs alike."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def message_of(error: BaseException, most: int | None = None) -> str:
    """Return the message of another library's error on one line. most: characters to keep."""
    return " ".join(str(error).split())[:most]


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, at most 200 characters; of an empty one, its kind."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip()[:200] if lines else type(error).__name__


def one_line(text: str) -> str:
    """Make untrusted text safe for a terminal: one line, without control or text-direction characters."""
    return _UNSEEN.sub(" ", text)


def csv_text(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a CSV file with a header; missing values are empty.

    Text that a spreadsheet would treat as a formula gets a leading apostrophe, as spreadsheets do themselves.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _escape_formula(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _escape_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # Python's writer would leave these unquoted
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def percent(share: float) -> str:
    """Format a share with significant digits, never rounded to 0% or 100%: for tables and downloads."""
    if share < 0.0001:
        return "< 0.01%"
    return f"{share:.2%}" if share < 0.1 else f"{min(share, 0.999):.1%}"


def rounded_percent(share: float) -> str:
    """Format a share as its evidence allows: whole percents, one decimal below 1%, never 0% or 100%."""
    if share < 0.0005:
        return "under 0.1%"
    if share >= 0.995:
        return "over 99%"
    return f"{share:.1%}" if share < 0.0095 else f"{share:.0%}"


def one_in(share: float) -> str:
    """Say a share as a count, such as "about 1 in 8"; "" from 2/3 on and below 1/20, where it helps nobody."""
    return f"about 1 in {1 / share:.0f}" if 0.05 <= share < 2 / 3 else ""


def percent_range(low: float, high: float) -> str:
    """Format an interval of shares to the digits that differ: "12% to 14%", or "13%" if both ends read so."""
    ends = dict.fromkeys((rounded_percent(low), rounded_percent(high)))
    return " to ".join(ends)


def share_words(share: float, low: float, high: float) -> str:
    """Format a share with its interval, such as "13% (12% to 14%)"; without, where both ends read like the share."""
    words, ends = rounded_percent(share), percent_range(low, high)
    return words if words == ends else f"{words} ({ends})"


def ordinal(number: int) -> str:
    """A place as it is said: "1st", "12th", "1,203rd"."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def listing(parts: Iterable[str], joined: str = "and") -> str:
    """Join one or more parts as in a sentence: "a, b and c"."""
    *most, last = parts
    return f"{', '.join(most)} {joined} {last}" if most else last


def web_link(link: str, name: str = "", *, new_tab: bool = False) -> str:
    """Render an untrusted link as HTML, labelled by its URL or a name (already HTML); other text stays plain."""
    shown = escape(link, quote=True)
    if not link.lower().startswith(("https://", "http://")):
        return shown
    target = 'target="_blank" ' if new_tab else ""
    return f'<a href="{shown}" {target}rel="noopener noreferrer">{name or shown.split("//", 1)[-1]}</a>'
