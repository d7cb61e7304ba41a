"""Numbers, lists and links as people read them: the same in the app, in reports and in the README."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


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
