"""Sentences that are too long to be read at a glance."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

MOST_WORDS = 25
_INLINE = r"a|b|br|code|em|i|strong"
_OTHER_TAG = re.compile(rf"<(?!/?(?:{_INLINE})\b)[^>]*>")
_TAG = re.compile(r"<[^>]*>")
_END = re.compile(r"(?<=[.!?])[”\")]*\s+|\n\n")


def sentences(text: str) -> Iterator[str]:
    """Those of a text or a piece of HTML, in which every tag but the inline ones ends a sentence."""
    plain = _TAG.sub(" ", _OTHER_TAG.sub("\n\n", text))
    yield from (" ".join(part.split()) for part in _END.split(html.unescape(plain)) if part.strip())


def long_sentences(texts: Iterable[str]) -> list[str]:
    """Sentences of more than `MOST_WORDS` words, where a word holds a letter or a digit."""
    return [
        sentence
        for text in texts
        for sentence in sentences(text)
        if sum(any(c.isalnum() for c in word) for word in sentence.split()) > MOST_WORDS
    ]
