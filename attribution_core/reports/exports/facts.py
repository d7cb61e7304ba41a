"""What a collection says of itself, counted from its rows and read from its cards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import CARD_NAME, read_card
from attribution_core.common.files import sha256_file
from attribution_core.common.json_text import read_json
from attribution_core.corpus.corpus import SIZE_COLUMNS, TEXT_COLUMNS, Corpus
from attribution_core.errors import CheckpointError

TRAIN = "train"
SKIPPED = "skipped.json"
_NAMED = re.compile(r"^'.*?' ")  # a file's name at the start of a reason


@dataclass(frozen=True)
class TrainingFile:
    """A Parquet file of training images. path: in the collection's folder. size: in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class NamedSource:
    """A source that the corpus's card names."""

    name: str
    version: str
    creator: str
    licence: str
    link: str


@dataclass(frozen=True, eq=False)
class CollectionFacts:
    """A collection without its index; see `open`. Cards are people's text, of which every value may be missing."""

    layout: CollectionLayout
    corpus: Corpus

    @classmethod
    def open(cls, folder: Path | str) -> CollectionFacts:
        """Read cards and rows. Raises `CheckpointError` if there is no collection or it is damaged."""
        layout = CollectionLayout.read(folder)
        return cls(layout, Corpus.open(layout.corpus))

    @property
    def name(self) -> str:
        """Its name, else that of its folder."""
        return self.said("name") or self.layout.folder.resolve().name

    @property
    def images(self) -> int:
        """Number of training images."""
        return len(self.corpus)

    def said(self, key: str) -> str:
        """A text of the collection's card, else of its corpus's; "" where neither has it."""
        for card in (self.layout.card, self._corpus_card):
            value = card.get(key)
            if isinstance(value, (str, int, float)) and not isinstance(value, bool) and str(value).strip():
                return str(value).strip()
        return ""

    @property
    def opt_outs(self) -> str:
        """How many images were left out or marked because their owners opted out; "" where none is known."""
        facts = self.layout.card.get("opted_out")
        if not isinstance(facts, Mapping):
            return ""
        left, marked = (int(facts.get(name, 0)) for name in ("left_out", "marked"))
        return (
            f"Images whose owners opted out, by their metadata or by lists: {left:,} were left out, and {marked:,} "
            "kept with a mark."
        )

    def counted(self, column: str) -> list[tuple[str, int]]:
        """Values of a column that are not empty, most frequent first, with their numbers of images."""
        return _ranked(value for value in self.corpus.column(column) if value)

    def without(self, column: str) -> int:
        """Number of images without a value in a column."""
        return sum(not value for value in self.corpus.column(column))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that hold a value for at least one image."""
        return tuple(name for name in (*TEXT_COLUMNS, *SIZE_COLUMNS) if any(self.corpus.column(name)))

    @cached_property
    def domains(self) -> list[tuple[str, int]]:
        """Web domains of the images' links, most frequent first, without "www."."""
        return _ranked(filter(None, map(_domain, self.corpus.column("link"))))

    @cached_property
    def sides(self) -> tuple[int, int] | None:
        """Shortest and longest side in px over all images; None where sizes are not known."""
        known = [side for name in SIZE_COLUMNS for side in self.corpus.column(name) if side]
        return (min(known), max(known)) if known else None

    @property
    def near_duplicates(self) -> str:
        """What is known of near-duplicates; "" where nobody looked for them."""
        groups = len(set(self.corpus.works.values()))
        if groups:
            return (
                f"{groups:,} groups of near-duplicates were found; all of them are part of the training set."
            )
        looked = self.layout.card.get("near_duplicates")
        threshold = looked.get("threshold") if isinstance(looked, Mapping) else None
        return "No near-duplicates were found." if threshold is not None else ""

    @cached_property
    def skipped(self) -> list[tuple[str, int]]:
        """Why images were left out, with numbers."""
        counts = self._corpus_card.get("skipped")
        if isinstance(counts, Mapping):
            numbers = {str(why): n for why, n in counts.items() if isinstance(n, int)}
            return sorted(numbers.items(), key=lambda one: (-one[1], one[0]))
        path = self.layout.folder / SKIPPED
        if not path.is_file():
            return []
        try:
            return _ranked(_NAMED.sub("the image ", str(entry["reason"])) for entry in read_json(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read; delete it, or build the collection again."
            ) from error

    @cached_property
    def sources(self) -> tuple[NamedSource, ...]:
        """What the corpus's card names as sources."""
        listed = self._corpus_card.get("sources")
        return tuple(
            NamedSource(
                *(str(one.get(key) or "") for key in ("package", "version", "creator", "licence", "link"))
            )
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, Mapping) and one.get("package")
        )

    @property
    def linked_sources(self) -> tuple[NamedSource, ...]:
        """Those of them with a web address."""
        return tuple(source for source in self.sources if _domain(source.link))

    @cached_property
    def files(self) -> tuple[TrainingFile, ...]:
        """Parquet files of the training images, in order; checksums as the card states them, else computed."""
        folder = self.corpus.path
        stated = self._corpus_card.get("files")
        known = stated if isinstance(stated, Mapping) else {}
        return tuple(
            TrainingFile(
                file.relative_to(self.layout.folder).as_posix(),
                file.stat().st_size,
                str(known.get(file.name) or sha256_file(file)),
            )
            for file in sorted(folder.glob(f"{TRAIN}-*.parquet"))
        )

    @cached_property
    def model(self) -> Mapping[str, Any]:
        """The card of the collection's generator; empty where there is none."""
        folder = self.layout.generator
        return read_card(folder) if (folder / CARD_NAME).is_file() else {}

    @cached_property
    def _corpus_card(self) -> Mapping[str, Any]:
        folder = self.corpus.path
        return read_card(folder) if (folder / CARD_NAME).is_file() else {}


def _ranked(values: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(values).items(), key=lambda one: (-one[1], one[0]))


def _domain(link: str) -> str:
    try:
        parts = urlsplit(link)
        host = parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:  # such as "http://["
        return ""
    return (host or "").removeprefix("www.")
