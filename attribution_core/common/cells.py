"""Converts cells of third-party tables to plain text: lists, objects, missing values, invalid characters."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attribution_core.common.text import listing

UNREADABLE = "\ufffd"
"""Replaces characters that could not be decoded."""
_MISSING = frozenset({"nan", "NaN", "<NA>", "NaT"})  # what pandas writes into text columns
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_NAMES = ("name", "title", "text", "value", "label", "caption")
_ADDRESSES = ("url", "href", "link", "@id")


def as_text(value: Any, column: str = "") -> str:
    """Convert a cell to stripped text; "" for missing values: None, NaN, empty lists and objects.

    column: the corpus column, which decides how values are joined: creators as "Ada and Ben", others with "; ". An
    object becomes its name (for a link its URL), or else all its content. Lone surrogates become U+FFFD.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        text = replace_surrogates(value).strip()
        return "" if text in _MISSING else text
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # pandas turns integer columns with missing values into floats
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _object(value, column)
    if isinstance(value, Sequence):
        parts = list(dict.fromkeys(filter(None, (as_text(part, column) for part in value))))
        if not parts:
            return ""
        return listing(parts) if column == "creator" else "; ".join(parts)
    return replace_surrogates(str(value)).strip()


def _object(value: Mapping[Any, Any], column: str) -> str:
    by_lower = {str(key).lower(): part for key, part in value.items()}
    for name in (*_ADDRESSES, *_NAMES) if column == "link" else _NAMES:
        if text := as_text(by_lower.get(name), column):
            return text
    parts = {as_text(str(key)): as_text(part, column) for key, part in value.items()}
    return "; ".join(f"{key}: {text}" if key else text for key, text in parts.items() if text)


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which cannot be encoded in UTF-8, by U+FFFD."""
    return _SURROGATE.sub(UNREADABLE, text)


def file_name(name: str) -> str:
    """Convert a file name to text, with non-UTF-8 bytes percent-encoded ("caf%E9.png") so that names stay unique."""
    return replace_surrogates(_ESCAPED_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name))
