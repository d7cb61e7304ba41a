"""Find training images by the words of their captions, by maker, style or licence."""

from __future__ import annotations

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

    @cached_property
    def _text(self) -> pa.Array:
        """Of each image, its searched columns in lower case, a space before every word."""
        import pyarrow as pa

        columns = [self.corpus.column(name) for name in _SEARCHED]
        return pa.array(
            " " + " ".join(_WORD.findall(" ".join(map(str, values)).casefold()))
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
        """Positions of the images that fit: those whose caption begins with the words first, else in corpus order."""
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
            subjects = self._subjects.take(found)
            phrase = " ".join(words)
            first = np.asarray(pc.equal(subjects, phrase)) * 2 + np.asarray(pc.starts_with(subjects, phrase))
            found = found[np.argsort(-first.astype(np.int8), kind="stable")]
        return found.astype(np.int64)

    def values(self, name: str) -> list[tuple[str, int]]:
        """The values of "creator", "style" or "licence" that are not empty, most frequent first, with their numbers."""
        counts = Counter(value for value in self.corpus.column(name) if value)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
