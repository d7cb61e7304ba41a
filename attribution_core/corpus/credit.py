"""The creator, source and licence of a training image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Credit:
    """The creator, source and licence of a training image; unknown text is "", an unknown size 0.

    work: id of the first image of its near-duplicate group; "" if it has no near-duplicates.
    """

    id: str = ""
    caption: str = ""
    short_caption: str = ""
    concept: str = ""
    style: str = ""
    creator: str = ""
    source: str = ""
    licence: str = ""
    link: str = ""
    width: int = 0
    height: int = 0
    work: str = ""
