"""Cells of other people's tables as plain text: lists, objects, missing values, text that is no text."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attribution_core.common.text import listing

UNREADABLE = "\ufffd"
"""Stands where a character could not be read."""
_MISSING = frozenset({"nan", "NaN", "<NA>", "NaT"})  # what pandas writes into text columns
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_NAMES = ("name", "title", "text", "value", "label", "caption")
_ADDRESSES = ("url", "href", "link", "@id")


def as_text(value: Any, column: str = "") -> str:
    """A cell as text without spaces around it; "" for what is missing: None, NaN, empty lists and objects.

    column: the corpus's, by which several values are joined: creators as "Ada and Ben", others by "; ". Of an object
    its name is taken (for a link its address), else all that it holds. Lone surrogates become U+FFFD.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        text = mended(value).strip()
        return "" if text in _MISSING else text
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # pandas makes whole numbers float where one is missing
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _object(value, column)
    if isinstance(value, Sequence):
        parts = list(dict.fromkeys(filter(None, (as_text(part, column) for part in value))))
        if not parts:
            return ""
        return listing(parts) if column == "creator" else "; ".join(parts)
    return mended(str(value)).strip()


def _object(value: Mapping[Any, Any], column: str) -> str:
    by_lower = {str(key).lower(): part for key, part in value.items()}
    for name in (*_ADDRESSES, *_NAMES) if column == "link" else _NAMES:
        if text := as_text(by_lower.get(name), column):
            return text
    parts = {as_text(str(key)): as_text(part, column) for key, part in value.items()}
    return "; ".join(f"{key}: {text}" if key else text for key, text in parts.items() if text)


def mended(text: str) -> str:
    """Text with U+FFFD in place of lone surrogates, which no file or stream in UTF-8 takes."""
    return _SURROGATE.sub(UNREADABLE, text)


def file_name(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 as in addresses ("caf%E9.png"), so that names stay apart."""
    return mended(_ESCAPED_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name))
