"""Find training images by the words of their captions, by maker, style or licence."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attribution_core.corpus.corpus import Corpus

if TYPE_CHECKING:
    import pyarrow as pa

_WORD = re.compile(r"\w+")
_LONGEST_WORD, _ALIKE = 40, 0.7  # characters that are compared; from 0 (nothing in common) to 1 (the same)
_SEARCHED = ("caption", "short_caption", "creator", "id")
FILTERS = ("creator", "style", "licence")


@dataclass(frozen=True)
class Wanted:
    """What is looked for; an empty string asks nothing. words: all of them must occur, each from its beginning."""

    words: str = ""
    creator: str = ""
    style: str = ""
    licence: str = ""


class CorpusSearch:
    """Looks through the text columns of a corpus, all of it at each question.

    A hundred thousand images take a few hundredths of a second; nothing but the lower-case text is kept.
    """

    def __init__(self, corpus: Corpus) -> None:
        """corpus: whose images are found."""
        self.corpus = corpus
        self._counts: dict[str, Counter[str]] = {}

    @cached_property
    def _text(self) -> pa.Array:
        """Of each image, its searched columns in lower case, a space around every word."""
        import pyarrow as pa

        columns = [self.corpus.column(name) for name in _SEARCHED]
        return pa.array(
            f" {' '.join(_WORD.findall(' '.join(map(str, values)).casefold()))} "
            for values in zip(*columns, strict=True)
        )

    @cached_property
    def _subjects(self) -> pa.Array:
        """Of each image, the part of its caption before the first comma, in lower case."""
        import pyarrow as pa

        short, long = self.corpus.column("short_caption"), self.corpus.column("caption")
        return pa.array(
            (a or b).split(",", 1)[0].strip().casefold() for a, b in zip(short, long, strict=True)
        )

    @cached_property
    def _columns(self) -> dict[str, pa.Array]:
        import pyarrow as pa

        return {name: pa.array(self.corpus.column(name)) for name in FILTERS}

    def find(self, wanted: Wanted) -> NDArray[np.int64]:
        """Positions of the images that fit.

        First those whose caption is the words, begins with them, or has all of them as whole words; else in the order
        of the corpus.
        """
        import pyarrow.compute as pc

        fits = np.ones(len(self.corpus), dtype=bool)
        for name in FILTERS:
            if value := getattr(wanted, name):
                fits &= np.asarray(pc.equal(self._columns[name], value))
        words = _WORD.findall(wanted.words.casefold())
        for word in words:
            fits &= np.asarray(pc.match_substring(self._text, f" {word}"))
        found = np.flatnonzero(fits)
        if words:
            subjects, phrase = self._subjects.take(found), " ".join(words)
            rank = np.asarray(pc.equal(subjects, phrase)).astype(np.int8)
            rank += np.asarray(pc.starts_with(pc.binary_join_element_wise(subjects, "", " "), f"{phrase} "))
            text = self._text.take(found)
            rank += np.all([np.asarray(pc.match_substring(text, f" {word} ")) for word in words], axis=0)
            found = found[np.argsort(-rank, kind="stable")]
        return found.astype(np.int64)

    def unsaid(self, words: str) -> list[str]:
        """Those of the words, in lower case, with which no searched text has a word that begins."""
        import pyarrow.compute as pc

        each = dict.fromkeys(_WORD.findall(words.casefold()))
        return [word for word in each if not pc.any(pc.match_substring(self._text, f" {word}")).as_py()]

    def suggest(self, word: str, most: int = 4) -> list[str]:
        """Words of captions that are spelled like a word, the likest first."""
        return difflib.get_close_matches(word.casefold()[:_LONGEST_WORD], self._said, most, _ALIKE)

    @cached_property
    def _said(self) -> list[str]:
        """The words of captions that several images share, or all words where there is none."""
        captions = self.corpus.column("caption")
        counts = Counter(word for caption in captions for word in set(_WORD.findall(caption.casefold())))
        words = [word for word in counts if len(word) > 2 and not word.isdigit()]
        return sorted(word for word in words if counts[word] > 1) or sorted(words)

    def values(self, name: str) -> list[tuple[str, int]]:
        """The values of "creator", "style" or "licence" that are not empty, most frequent first, with their numbers."""
        return _most_frequent(self.counts(name))

    def counts(self, name: str) -> Counter[str]:
        """How many images have each value of "creator", "style" or "licence"; an empty one is none (cached)."""
        if name not in self._counts:
            self._counts[name] = Counter(value for value in self.corpus.column(name) if value)
        return self._counts[name]

    def tally(self, name: str, positions: NDArray[np.int64]) -> list[tuple[str, int]]:
        """`values` of some images."""
        return _most_frequent(Counter(v for v in self._columns[name].take(positions).to_pylist() if v))

    def works(self, positions: NDArray[np.int64]) -> int:
        """How many works some images are; near-duplicates are one."""
        known = self.corpus.works
        if not known:
            return len(positions)
        names = self.corpus.column("id")
        return len({known.get(names[k], names[k]) for k in positions.tolist()})

    def subjects(self, positions: NDArray[np.int64]) -> list[str]:
        """What some images show, by the beginning of their captions: the most frequent first, each once."""
        return [
            subject
            for subject, _ in Counter(filter(None, self._subjects.take(positions).to_pylist())).most_common()
        ]

    def position(self, name: str) -> int | None:
        """The position of the image of this id; None where there is none."""
        return self._positions.get(name)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.corpus.column("id"))}


def _most_frequent(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
