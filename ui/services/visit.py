"""What a visit remembers: every image that was attributed, for the ledger, and the latest to come back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from attribution_core.attribution.result import Attribution
from attribution_core.common.images import scaled_down
from attribution_core.reports.ledger import LedgerEntry
from ui.services.app import Query

LEDGER = 100
"""Attributions that a visit remembers at most; of more, the latest."""
RETURNS = 30
"""Of these, at most so many can be brought back ..."""
PIXELS = 20_000_000
"""... and at most so many pixels of images together, the latest always."""
THUMBNAIL = 96
"""Longer side in px of the picture that stands for one."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One attributed image of a visit. number: counts from 1. query: None once it is too old to be brought back."""

    number: int
    entry: LedgerEntry
    thumbnail: Image.Image
    query: Query | None


def remember(seen: Sequence[Seen], query: Query, result: Attribution, method: str) -> list[Seen]:
    """The visit with one more; the same image again, by another method say, counts once and is the latest."""
    latest = Seen(
        seen[-1].number + 1 if seen else 1,
        LedgerEntry(query.title, method, result, query.recipe),
        scaled_down(query.image, THUMBNAIL),
        query,
    )
    others = (s for s in seen if s.query is None or s.query.image is not query.image)
    every = [*others, latest][-LEDGER:]
    room, kept = PIXELS, []
    for age, one in enumerate(reversed(every)):
        room -= 0 if one.query is None else one.query.image.width * one.query.image.height
        kept.append(one if age == 0 or (age < RETURNS and room >= 0) else replace(one, query=None))
    return kept[::-1]


def returnable(seen: Sequence[Seen] | None) -> list[Seen]:
    """Those that can be brought back, the latest first."""
    return [s for s in reversed(seen or ()) if s.query is not None]
