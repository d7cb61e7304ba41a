"""Who made a training image, and under which terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Credit:
    """Who made a training image and under which terms; what is unknown is an empty string, a size 0.

    work: id of the first of its near-duplicates in the training set; empty where it has none.
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
