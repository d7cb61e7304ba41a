"""Lets output streams of any encoding write any character."""

from __future__ import annotations

import codecs
import io
import sys

_HANDLER = "attribution_core.json_escapes"


def printable_streams() -> None:
    """Make stdout and stderr write characters that they cannot encode as JSON escapes."""
    codecs.register_error(_HANDLER, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2)), error.end
