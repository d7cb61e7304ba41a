"""Links into the tab Training set, which any other tab can show, and what is said beside them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from attribution_core.common.text import one_line, rounded_percent, web_link
from attribution_core.corpus.credit import Credit
from attribution_core.corpus.search import Wanted
from ui.services.place import Place
from ui.services.training_set import Maker
from ui.widgets.training_set_texts import NO_CONTACT

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_SHOWN_LICENCES = 6


def place_link(place: Place, words: str) -> str:
    """A link to a place in the training set, HTML. words: text."""
    return f'<a href="{html.escape(place.link, quote=True)}">{html.escape(one_line(words))}</a>'


def maker_link(name: str, words: str = "") -> str:
    """A maker's name, linked to the page of all their works, HTML; "" for none. words: text, if not the name."""
    return place_link(Place(Wanted(creator=name)), words or name) if name else ""


def alike_link(credit: Credit, content: str = "More like this") -> str:
    """A link to the training images most like one. content: HTML."""
    address = html.escape(Place(like=credit.id).link, quote=True)
    name = html.escape(one_line(credit.caption or credit.id), quote=True)
    return f'<a class="alike" href="{address}" title="More training images like “{name}”">{content}</a>'


def suggestions(words: Sequence[str]) -> str:
    """What to search for instead, each a link; "" without any."""
    links = " · ".join(place_link(Place(Wanted(word)), word) for word in words)
    return f'<p class="status">Try: {links}</p>' if links else ""


def objection(contact: str) -> str:
    """How to object to the use of a picture. contact: of the collection's card; "" where it names none."""
    if not contact:
        return f'<p class="status">{NO_CONTACT}</p>'
    shown = html.escape(contact, quote=True)
    where = (
        f'<a href="mailto:{shown}">{shown}</a>'
        if _MAIL.fullmatch(contact)
        else web_link(contact, new_tab=True)
    )
    return f'<p class="status">To object to the use of a picture, write to {where}.</p>'


def maker_page(maker: Maker, contact: str) -> str:
    """The head of a maker's page, above all their works."""
    images = f"{maker.images:,} image{'s' * (maker.images != 1)}"
    works = "" if maker.works == maker.images else f", {maker.works:,} different works"
    licences = ", ".join(f"{name} ({count:,})" for name, count in maker.licences[:_SHOWN_LICENCES])
    link = web_link(maker.link, new_tab=True)
    facts = [
        ("In the training set", html.escape(f"{images}{works}: {rounded_percent(maker.part)} of it")),
        ("Licence", html.escape(licences) or "not stated"),
        ("Source", link),
        ("In this visit", _share(maker)),
    ]
    cells = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    return (
        f'<section class="facts maker"><h3>{html.escape(one_line(maker.name))}</h3><dl>{cells}</dl>'
        f"{objection(contact)}</section>"
    )


def _share(maker: Maker) -> str:
    if maker.share is None:
        return "no image with shares yet"
    images = "1 image" if maker.drawn == 1 else f"{maker.drawn} images"
    if not maker.share:
        return f"none among those listed for {images} of this visit"
    return f"{rounded_percent(maker.share)} of the influence on {images}, as far as listed"
