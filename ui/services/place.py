"""Places in the training set, each with an address of its own: what is looked for, which page, which image."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlencode

from attribution_core.common.text import one_line
from attribution_core.corpus.search import Wanted
from attribution_core.errors import InvalidInputError

MAX_WORDS = 200
"""Characters of a search."""
_MAX_ADDRESS = 4_000
TAB = "?tab=training-set"
_PAGE = "set-page"  # Gradio reads "page" itself, and fails where it knows none of that name
NAMES = ("words", "maker", "style", "licence", "like", _PAGE, "image")
"""The parameters of a place, as the page's address has them."""


def checked_words(words: str | None) -> str:
    """Words to search for, on one line. Raises `InvalidInputError` where there are too many."""
    shown = " ".join(one_line(words or "").split())
    if len(shown) > MAX_WORDS:
        raise InvalidInputError(
            f"the search has {len(shown):,} characters, at most {MAX_WORDS} are read; name one thing."
        )
    return shown


@dataclass(frozen=True)
class Place:
    """What is in sight. like: id of the image that others are to be like. image: id of the one looked at in detail."""

    wanted: Wanted = field(default_factory=Wanted)
    like: str = ""
    page: int = 1
    image: str = ""

    def address(self) -> str:
        """The parameters that say it, as in "words=cat&set-page=2"; "" for the first page of all."""
        wanted = self.wanted
        values = {
            "words": wanted.words,
            "maker": wanted.creator,
            "style": wanted.style,
            "licence": wanted.licence,
            "like": self.like,
            _PAGE: str(self.page) if self.page > 1 else "",
            "image": self.image,
        }
        return urlencode({name: value for name, value in values.items() if value}, quote_via=quote)

    @property
    def link(self) -> str:
        """A link to it, from anywhere on the page."""
        address = self.address()
        return f"{TAB}&{address}" if address else TAB

    @classmethod
    def read(cls, address: str) -> Place:
        """Read what `address` wrote, or a whole query string. Raises `InvalidInputError` where it is none."""
        if len(address) > _MAX_ADDRESS:
            raise InvalidInputError(
                f"the link has {len(address):,} characters, at most {_MAX_ADDRESS:,} are read."
            )
        try:
            values = parse_qs(address.removeprefix("?"), max_num_fields=50)
        except ValueError as error:
            raise InvalidInputError("the link names too many things; open the training set anew.") from error
        given = {name: values.get(name, [""])[0] for name in NAMES}
        page = given[_PAGE] or "1"
        if not page.isascii() or not page.isdigit() or len(page) > 9:
            raise InvalidInputError(f"the link's page is '{page:.40}', expected a whole number from 1.")
        wanted = Wanted(checked_words(given["words"]), given["maker"], given["style"], given["licence"])
        return cls(wanted, given["like"], max(int(page), 1), given["image"])
