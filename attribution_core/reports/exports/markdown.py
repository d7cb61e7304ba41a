"""Strangers' text in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attribution_core.common.text import one_line

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


def plain(text: str) -> str:
    """Text on one line, with everything that Markdown or HTML would read escaped."""
    return _MARKS.sub(r"\\\1", one_line(text))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table. Cells are escaped, numbers get separators."""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else plain(str(value))
