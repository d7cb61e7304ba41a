"""What a source of images yields, and how its columns map to those of the corpus."""

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
    "opted_out": (
        *("opted_out", "opt_out", "noai", "noimageai", "data_mining", "datamining", "plus:datamining"),
        *("robots", "x_robots_tag"),
    ),
}
"""Other names for a column, in the order in which they are tried; see `plain_name`."""


@dataclass(frozen=True)
class SourceItem:
    """One image of a source.

    id: unique in the source. data: a file, or its bytes; None if there is nothing to read, and `problem` says why.
    text: columns of the corpus. names: other names that metadata may use, the longest first. note: what was ignored.
    """

    id: str
    data: Path | bytes | None
    text: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    problem: str = ""
    note: str = ""


Wanted = Callable[[str], bool]


class Source(Protocol):
    """Images, always in the same order.

    title: name for a collection of them. mark: JSON that identifies the source and its files. unread: files that are
    not its images, with the reason.
    """

    title: str
    mark: Mapping[str, Any]
    unread: Sequence[tuple[str, str]]

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """Yield images. wanted: called once with each id, in order; images that it rejects are not read."""

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield (id, other names) of all images without reading them; nothing if only reading them would tell."""

    def total(self, done: int) -> int | None:
        """Return the number of images, an estimate, or None if it is unknown. done: images read so far."""


class Columns:
    """A mapping from the corpus's columns to those of a source."""

    def __init__(self, chosen: Mapping[str, str] | None = None) -> None:
        """chosen: the corpus's column -> the source's; all others are found by name or alias."""
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
        """Return the corpus's column -> the source's, for the columns in `known`.

        where: the source, for errors; if given, a chosen column that is missing raises `InvalidInputError`.
        """
        chosen = {ours: find_column(theirs, known) for ours, theirs in self.chosen.items()}
        missing = [self.chosen[ours] for ours, theirs in chosen.items() if theirs is None]
        if where and missing:
            raise InvalidInputError(f"{where} has no column '{missing[0]}'; it has {', '.join(known)}.")
        by_name = {plain_name(name): name for name in reversed(known)}
        columns = {}
        for ours in OWN:
            if ours in chosen:
                theirs = chosen[ours]
            else:
                theirs = next((by_name[n] for n in ALIASES.get(ours, (ours,)) if n in by_name), None)
            if theirs is not None:
                columns[ours] = theirs
        return columns

    def pick(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return the corpus's columns of one row, without empty ones."""
        return take(row, self.of(list(row)))


def take(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the corpus's columns of one row, without empty ones. columns: as of `Columns.of`."""
    texts = {ours: as_text(row.get(theirs), ours) for ours, theirs in columns.items()}
    return {ours: text for ours, text in texts.items() if text}


def path_names(path: str | None) -> tuple[str, ...]:
    """Return the names by which metadata may refer to a path: all of it, its last part, that without the ending."""
    plain = PurePosixPath((path or "").replace("\\", "/"))
    return (str(plain), plain.name, plain.stem) if path else ()


def names_of_file(image: str) -> tuple[str, ...]:
    """Return the names by which metadata may refer to an image file: without its ending, without its folder."""
    path = PurePosixPath(image)
    return str(path.with_suffix("")), path.name, path.stem


def caption_of_file(image: str) -> str:
    """Return what a file's name says of its picture."""
    return PurePosixPath(image).stem.replace("_", " ").replace("-", " ")
