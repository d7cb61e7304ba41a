"""The one sentence's worth of an attribution: one source, a few, a common theme, or spread thinly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit

FEW_SHARE = 0.3
"""Works that are few hold at least this share together ..."""
FEW = 3
"""... and are at most this many."""
THEME_SHARE = 0.2
"""A theme's works hold at least this share of all influence ..."""
THEME_PART = 0.4
"""... and at least this part of what the listed works hold ..."""
THEME_WORKS = 4
"""... and are at least this many."""
LISTED = 100
"""Works are looked at up to this place, so that a longer list changes no finding."""
UNNAMED_SHARE = 0.03
"""Where works that a prompt names hold less than this of an image's influence, the image may not show it."""
_WORD = re.compile(r"[^\W\d_]{3,}")
_NO_THEME = frozenset(
    "and are black blue brown dark first for from green grey has high into its large left light like low new not "
    "off old one orange out over pink purple red right second set side sign small style symbol symbols that the "
    "three two type under white with without yellow".split()
)


class Pattern(StrEnum):
    """How the influence is spread."""

    ONE = "one"
    FEW = "few"
    THEME = "theme"
    SPREAD = "spread"


@dataclass(frozen=True)
class Finding:
    """What an attribution amounts to.

    Attributes:
        pattern: The strongest statement that the shares allow, in the order of `Pattern`.
        places: Of the works that it is about, among `Attribution.works`, most influential first.
        influence: Of these works together, in [0, 1].
        creators: How many different makers of these works are named.
        theme: The word that their captions have in common; empty unless the pattern is a theme.
    """

    pattern: Pattern
    places: tuple[int, ...]
    influence: float
    creators: int
    theme: str = ""


def find(result: Attribution) -> Finding:
    """Say which of the patterns an attribution shows; the first that holds.

    One: `Attribution.stands_out`. Theme: at least `THEME_WORKS` works whose captions share a word hold at least
    `THEME_SHARE` of all influence and `THEME_PART` of what is listed. Few: at most `FEW` works hold `FEW_SHARE`. The
    thresholds are conventions; docs/how-it-works.md says how often what they say was right.
    """
    works = result.works[:LISTED]
    if result.stands_out:
        return _finding(result, Pattern.ONE, [0])
    listed = sum(work.influence for work in works)
    word, places = _theme(result)
    held = sum(works[p].influence for p in places)
    if len(places) >= THEME_WORKS and held >= THEME_SHARE and held >= THEME_PART * listed:
        return _finding(result, Pattern.THEME, places, word)
    held = 0.0
    for place, work in enumerate(works[:FEW]):
        held += work.influence
        if held >= FEW_SHARE:
            return _finding(result, Pattern.FEW, list(range(place + 1)))
    return _finding(result, Pattern.SPREAD, [0])


def _finding(result: Attribution, pattern: Pattern, places: list[int], theme: str = "") -> Finding:
    works = [result.works[p] for p in places]
    creators = {name for work in works for name in work.creators if name}
    influence = min(sum(work.influence for work in works), 1.0)
    return Finding(pattern, tuple(places), influence, len(creators), theme)


def _theme(result: Attribution) -> tuple[str, list[int]]:
    """The word whose works hold most, and their places; of words that hold the same, the one that comes first."""
    places: dict[str, list[int]] = {}
    for place, work in enumerate(result.works[:LISTED]):
        said = {word for listed in work.places for word in subject_words(result.credits[listed])}
        for word in sorted(said, key=lambda word: (-len(word), word)):
            places.setdefault(word, []).append(place)
    if not places:
        return "", []
    works = result.works
    word = max(places, key=lambda name: round(sum(works[p].influence for p in places[name]), 9))
    return word, places[word]


def named_share(result: Attribution, prompt: str) -> float | None:
    """Influence of the listed works whose captions share a subject word with a prompt, in [0, 1].

    None where the prompt has no subject word.
    """
    wanted = set(subject_words(Credit(short_caption=prompt)))
    if not wanted:
        return None
    works = result.works[:LISTED]
    named = (
        work.influence
        for work in works
        if any(wanted & set(subject_words(result.credits[place])) for place in work.places)
    )
    return min(sum(named), 1.0)


def subject_words(credit: Credit) -> Iterator[str]:
    """The words of an image's caption that may name its subject, singular where the plural ends in a plain s.

    Up to the first comma, where the caption has a part before its style or tags; without the name of its style, without
    colours and joining words.
    """
    caption = (credit.short_caption or credit.caption).casefold()
    style = set(_WORD.findall(credit.style.casefold()))
    for word in _WORD.findall(caption.split(",", 1)[0]):
        if word not in _NO_THEME and word not in style:
            yield word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
