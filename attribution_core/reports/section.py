"""What a report is made of: sections with figures and pictures, and the stored parts of a collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image


@dataclass(frozen=True)
class Fact:
    """One figure of a section. value: as text. number: the same as a number. how: what it is based on."""

    name: str
    value: str
    number: float | int | str | bool | None = None
    how: str = ""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image of a section, with its caption."""

    image: Image.Image
    caption: str


@dataclass(frozen=True, eq=False)
class Section:
    """A section that another analysis adds to a report, such as a verdict on copies; `words` is plain text."""

    title: str
    words: str = ""
    facts: tuple[Fact, ...] = ()
    pictures: tuple[Picture, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text; pictures by their captions."""
        facts = [{"name": f.name, "value": f.value, "number": f.number, "how": f.how} for f in self.facts]
        return {
            "title": self.title,
            "words": self.words,
            "facts": facts,
            "pictures": [p.caption for p in self.pictures],
        }


@dataclass(frozen=True)
class StoredPart:
    """A stored part of a collection, by its card. card_sha256: of the card itself. files: name to sha256."""

    name: str
    what: str
    licence: str
    card_sha256: str
    files: Mapping[str, str]
    versions: Mapping[str, str]
