"""Reads third-party text files in UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from attribution_core.errors import InvalidInputError

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path | str, what: str = "the text") -> str:
    """Read a text file, without its byte order mark. what: its content in words, for errors.

    Raises `InvalidInputError` if the file cannot be read or is not UTF-8.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"{what} in '{path}' cannot be read ({reason}); give a text file.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if data.startswith(_WIDE) else f"not UTF-8 at byte {error.start}"
        raise InvalidInputError(
            f"{what} in '{path}' cannot be read: the file is {kind}; save it as UTF-8."
        ) from error


def read_lines(path: Path | str, what: str = "the text") -> list[str]:
    """Read the non-empty lines of a text file, stripped. Raises as `read_text` does."""
    return [line.strip() for line in read_text(path, what).splitlines() if line.strip()]
