"""Reads untrusted JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text. Raises `ValueError` if it is not JSON or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """Parse a UTF-8 JSON file, with or without a byte order mark. Raises `OSError` or `ValueError`."""
    return parse_json(Path(path).read_text(encoding="utf-8-sig"))
