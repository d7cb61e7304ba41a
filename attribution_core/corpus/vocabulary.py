"""Which styles and things a generator knows by name, from the captions that it was trained on."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from attribution_core.corpus.corpus import Corpus

_ENOUGH_STYLES = 5  # a thing drawn in so many styles is learned as a thing
_MOST_THINGS = 400
_ARTICLE = re.compile(r"(?:a|an|the|some)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Vocabulary:
    """Captions of the form "thing, name style". Both are empty for a corpus whose captions have another form.

    Attributes:
        styles: Most frequent first.
        things: That were drawn in several styles, alphabetically.
    """

    styles: tuple[str, ...] = ()
    things: tuple[str, ...] = ()

    @classmethod
    def of(cls, corpus: Corpus) -> Vocabulary:
        """Read the short captions of a corpus."""
        styles_of: dict[str, set[str]] = defaultdict(set)
        counts: dict[str, int] = defaultdict(int)
        for caption, style in zip(corpus.column("short_caption"), corpus.column("style"), strict=True):
            thing, comma, end = caption.rpartition(", ")
            if comma and style and end == f"{style} style":
                styles_of[thing].add(style)
                counts[style] += 1
        things = [thing for thing, styles in styles_of.items() if len(styles) >= _ENOUGH_STYLES]
        things = sorted(things, key=lambda thing: -len(styles_of[thing]))[:_MOST_THINGS]
        return cls(tuple(sorted(counts, key=lambda style: -counts[style])), tuple(sorted(things)))

    def usual_style(self, example: str) -> str:
        """The style that an example's prompt ends with where it is known, else the most frequent one, else ""."""
        own = (style for style in self.styles if example.endswith(f", {style} style"))
        return next(own, self.styles[0] if self.styles else "")

    def complete(self, prompt: str, style: str) -> str:
        """The prompt in the form of the captions: without an article in front, with a style where it names none.

        style: one of `styles`, or "" to leave the prompt as it is.
        """
        words = " ".join(prompt.split())
        if not style or not words or re.search(r"\bstyle\b", words, re.IGNORECASE):
            return words
        thing = _ARTICLE.sub("", words, count=1) if _ARTICLE.match(words) else words
        return f"{thing.rstrip(' ,.')}, {style} style"
