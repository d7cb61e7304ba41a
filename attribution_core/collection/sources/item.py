"""What a source of images gives, one image after the other, and how its columns become a corpus's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from attribution_core.common.cells import as_text
from attribution_core.common.tables import find_column, plain_name
from attribution_core.corpus.corpus import TEXT_COLUMNS
from attribution_core.errors import InvalidInputError, unknown_name

OWN = tuple(name for name in TEXT_COLUMNS if name != "id")
"""Columns of a corpus that a source or a metadata file may fill."""
ALIASES: Mapping[str, tuple[str, ...]] = {
    "caption": ("caption", "text", "prompt", "title"),
    "creator": ("creator", "artist", "author", "photographer"),
    "licence": ("licence", "license"),
    "link": ("link", "url"),
}
"""Names that a column goes by elsewhere, in the order in which they are looked for; see `plain_name`."""


@dataclass(frozen=True)
class SourceItem:
    """One image of a source.

    id: unlike that of every other. data: a file, or its bytes; None where there is nothing to read, and problem says
    why. text: columns of the corpus. names: what else a metadata file may call it, the fullest first. note: what was
    left aside.
    """

    id: str
    data: Path | bytes | None
    text: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    problem: str = ""
    note: str = ""


Wanted = Callable[[str], bool]


class Source(Protocol):
    """Images in an order that is the same each time.

    title: what the collection is called. mark: what tells it from another source, as plain JSON. unread: files that lie
    there and are none of its images, with the reason.
    """

    title: str
    mark: Mapping[str, Any]
    unread: Sequence[tuple[str, str]]

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """All images. wanted: asked once for each id, in order; what it refuses is passed over unread."""

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(id, other names) of all images, without reading them; nothing where only reading them would tell."""

    def total(self, done: int) -> int | None:
        """How many images there are; an estimate, or None, where nobody knows before the end. done: read so far."""


class Columns:
    """Which of a source's columns fills which of the corpus's."""

    def __init__(self, chosen: Mapping[str, str] | None = None) -> None:
        """chosen: the corpus's column -> the source's; others by their own name or an alias."""
        self.chosen = dict(chosen or {})
        for ours in self.chosen:
            if ours not in OWN:
                raise unknown_name("column", ours, OWN)

    @classmethod
    def parse(cls, text: str) -> Columns:
        """Read "creator=artist,caption=TEXT". Raises `InvalidInputError`, `UnknownNameError`."""
        chosen = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            ours, equals, theirs = part.partition("=")
            if not equals or not theirs.strip():
                raise InvalidInputError(
                    f"'{part}' names no column; expected such as creator=artist,caption=TEXT."
                )
            chosen[ours.strip()] = theirs.strip()
        return cls(chosen)

    def of(self, known: Sequence[str], where: str = "") -> dict[str, str]:
        """The corpus's column -> the source's, of those that it has.

        where: if given, a column that was chosen and is not there raises `InvalidInputError`.
        """
        chosen = {ours: find_column(theirs, known) for ours, theirs in self.chosen.items()}
        missing = [self.chosen[ours] for ours, theirs in chosen.items() if theirs is None]
        if where and missing:
            raise InvalidInputError(f"{where} has no column '{missing[0]}'; it has {', '.join(known)}.")
        by_name = {plain_name(name): name for name in reversed(known)}
        found = {}
        for ours in OWN:
            if ours in chosen:
                theirs = chosen[ours]
            else:
                theirs = next((by_name[n] for n in ALIASES.get(ours, (ours,)) if n in by_name), None)
            if theirs is not None:
                found[ours] = theirs
        return found

    def pick(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The corpus's columns of one row; what is empty is left out."""
        return take(row, self.of(list(row)))


def take(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """The corpus's columns of one row, by the source's names; what is empty is left out."""
    texts = {ours: as_text(row.get(theirs), ours) for ours, theirs in columns.items()}
    return {ours: text for ours, text in texts.items() if text}


def path_names(path: str | None) -> tuple[str, ...]:
    """What a table may call an image by its path: the whole, the last part, and that without its ending."""
    plain = PurePosixPath((path or "").replace("\\", "/"))
    return (str(plain), plain.name, plain.stem) if path else ()
