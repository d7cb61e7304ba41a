"""Numbers as people read them, and the tiles that several tabs show them in."""

from __future__ import annotations

import html
from collections.abc import Iterable


def percent(share: float) -> str:
    """A share for people: two digits that matter, never a false 0 or 100%."""
    if share < 0.0001:
        return "< 0.01%"
    return f"{share:.2%}" if share < 0.1 else f"{min(share, 0.999):.1%}"


def tiles(shown: Iterable[tuple[str, str, str]]) -> str:
    """A row of tiles: name, value, and a note in small print."""
    cells = "".join(f'<div class="tile"><span>{html.escape(name)}</span><b>{html.escape(value)}</b>'
                    f"<small>{html.escape(note)}</small></div>" for name, value, note in shown)
    return f'<div class="tiles">{cells}</div>'
