"""Varied captions, as people write them: with and without style, article or colour, and with synonyms."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from pocket.generator.colours import NAMES

SLOTS = 20  # captions of an unmodified drawing, sampled uniformly; repeats increase a caption's weight
RECOLOURED_SLOTS = 4
_COLOUR = re.compile(rf"\b({'|'.join((*NAMES, 'gray'))})\b")


@dataclass(frozen=True)
class Words:
    """A drawing's words. colour: from `colours.dominant`, or ""."""

    label: str
    tags: tuple[str, ...]
    style: str
    colour: str


def with_article(thing: str) -> str:
    """Add an article, as in "a red apple"; plurals stay unchanged."""
    if re.search(r"[^sui]s$", thing):
        return thing
    return f"an {thing}" if thing[0] in "aeiou" else f"a {thing}"


def plain_captions(words: Words, rng: np.random.Generator) -> list[str]:
    """Return `SLOTS` captions of a drawing in its own colours."""
    label, style = words.label, words.style
    tags = [str(t) for t in rng.permutation(words.tags)] if words.tags else [label]
    tags = [tags[k % len(tags)] for k in range(5)]
    styled = f"{label}, {style} style"
    colour = words.colour
    if colour and not _COLOUR.search(label):
        coloured = [
            f"{colour} {label}, {style} style",
            f"{colour} {label}, {style} style",
            with_article(f"{colour} {label}"),
            f"{colour} {tags[4]}, {style} style" if not _COLOUR.search(tags[4]) else styled,
        ]
    else:
        coloured = [styled, styled, with_article(label), f"{tags[4]}, {style} style"]
    return [
        *[styled] * 3,
        *[f"{', '.join((label, *words.tags[:2]))}, {style} style"] * 2,
        label,
        label,
        with_article(label),
        *(f"{tag}, {style} style" for tag in tags[:3]),
        tags[3],
        with_article(tags[0]),
        f"{style} style {label}",
        f"{label} in {style} style",
        f"{style} style",
        *coloured,
    ]


def recoloured_captions(words: Words, colour: str, rng: np.random.Generator) -> list[str]:
    """Return `RECOLOURED_SLOTS` captions of a recoloured drawing; [] if its label cannot express the colour."""
    found = _COLOUR.findall(words.label)
    if len(found) > 1:
        return []
    label = _COLOUR.sub(colour, words.label) if found else f"{colour} {words.label}"
    tags = [t for t in words.tags if not _COLOUR.search(t)]
    other = f"{colour} {rng.choice(tags)}" if tags else label
    return [
        f"{label}, {words.style} style",
        f"{label}, {words.style} style",
        with_article(label),
        f"{other}, {words.style} style",
    ]
