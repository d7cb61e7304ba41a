"""Numbers, lists and links as people read them: the same in the app, in reports and in the docs."""

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
    """What an error of another library says, on one line. most: characters."""
    return " ".join(str(error).split())[:most]


def one_line(text: str) -> str:
    """A stranger's text as a terminal may show it: on one line, without codes that steer it or turn letters round."""
    return _UNSEEN.sub(" ", text)


def csv_text(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A CSV file with a header; what a row lacks is empty.

    Text that a spreadsheet would take for a formula begins with an apostrophe, as such programs write it themselves.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # which Python's writer would leave unquoted
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def percent(share: float) -> str:
    """A share for people: two digits that matter, never a false 0 or 100%."""
    if share < 0.0001:
        return "< 0.01%"
    return f"{share:.2%}" if share < 0.1 else f"{min(share, 0.999):.1%}"


def listing(parts: Iterable[str], joined: str = "and") -> str:
    """At least one part as a sentence lists them: "a, b and c"."""
    *most, last = parts
    return f"{', '.join(most)} {joined} {last}" if most else last


def web_link(link: str, name: str = "", *, new_tab: bool = False) -> str:
    """A stranger's link as HTML, by its address or a name (HTML already); what is no web address stays text."""
    shown = escape(link, quote=True)
    if not link.lower().startswith(("https://", "http://")):
        return shown
    target = 'target="_blank" ' if new_tab else ""
    return f'<a href="{shown}" {target}rel="noopener noreferrer">{name or shown.split("//", 1)[-1]}</a>'
