"""A handout of one page to print: a few stops, each a claim with its pictures and what it is based on."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from attribution_core.errors import InvalidInputError
from attribution_core.reports.meaning import CAVEAT
from attribution_core.reports.render import render
from attribution_core.reports.section import Picture


@dataclass(frozen=True, eq=False)
class Stop:
    """One stop of a tour. kind: what sort of case it is, in a few words. how: what it is based on."""

    kind: str
    title: str
    words: str
    pictures: tuple[Picture, ...]
    how: str


def handout_page(
    collection: str,
    about: str,
    stops: Sequence[Stop],
    *,
    address: str = "",
    made: datetime.date | None = None,
) -> str:
    """One HTML page that needs nothing else and prints on one sheet of A4.

    collection: its name. about: one sentence on it. address: where the tour can be taken; "" if nobody knows. made: on
    which day; by default today in UTC. Raises `InvalidInputError` without stops.
    """
    if not stops:
        raise InvalidInputError(
            "this collection has nothing to show on a handout: no example, test case or copy."
        )
    day = made or datetime.datetime.now(datetime.UTC).date()
    return render(
        "handout.html.j2",
        title="Whose work is in this image?",
        collection=collection,
        about=about,
        stops=stops,
        caveat=CAVEAT,
        made=f"{day.day} {day:%B %Y}",
        address=address,
    )
