"""JSON of other people, whatever it holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds. Raises `ValueError` where it is not JSON, or nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """The same of a UTF-8 file, with a byte order mark or without. Raises `OSError`, too."""
    return parse_json(Path(path).read_text(encoding="utf-8-sig"))
