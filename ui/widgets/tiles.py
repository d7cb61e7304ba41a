"""The tiles that several tabs show their numbers in."""

from __future__ import annotations

import html
from collections.abc import Iterable


def tiles(shown: Iterable[tuple[str, str, str]]) -> str:
    """A row of tiles: name, value, and a note in small print."""
    cells = "".join(
        f'<div class="tile"><span>{html.escape(name)}</span><b>{html.escape(value)}</b>'
        f"<small>{html.escape(note)}</small></div>"
        for name, value, note in shown
    )
    return f'<div class="tiles">{cells}</div>'
