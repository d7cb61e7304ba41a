"""What is known of one training image, as a list of terms."""

from __future__ import annotations

import html
from collections.abc import Iterable

from attribution_core.common.text import web_link
from attribution_core.corpus.credit import Credit
from ui.widgets.set_links import maker_link


def credit_facts(credit: Credit, *, stored: bool) -> list[tuple[str, str]]:
    """Name and value (HTML) of everything that a credit says. stored: whether the collection holds the picture."""
    return [
        ("Maker", maker_link(credit.creator, credit.maker) or "unknown"),
        ("Licence", html.escape(credit.licence) or "not stated"),
        ("Opted out", html.escape(credit.opted_out)),
        ("Style", html.escape(credit.style)),
        ("Source", html.escape(credit.source)),
        ("Picture", "" if stored else _elsewhere(credit)),
        ("Link", web_link(credit.link, new_tab=True)),
        ("Size", f"{credit.width} × {credit.height} px" if credit.width else ""),
        ("Id", html.escape(credit.id)),
    ]


def facts_list(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """A heading and the facts that have a value. title: text. facts: values are HTML."""
    cells = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    return f'<div class="facts"><h3>{html.escape(title)}</h3><dl>{cells}</dl></div>'


def _elsewhere(credit: Credit) -> str:
    """Where a picture is that the collection does not hold; only a reader who follows the link loads it."""
    link = web_link(credit.link, "see it at its source", new_tab=True)
    return f"not stored in this collection; {link}" if "<a " in link else "not stored in this collection"
