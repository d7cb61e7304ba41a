"""Captions as people write them: with and without a style, with "a" or "an", the colour first, in other words."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from pocket.generator.colours import NAMES

SLOTS = 20  # captions of a drawing as it is; each is drawn as often, so that a repeated one weighs more
RECOLOURED_SLOTS = 4
_COLOUR = re.compile(rf"\b({'|'.join((*NAMES, 'gray'))})\b")


@dataclass(frozen=True)
class Words:
    """What is known of a drawing in words. colour: as `colours.dominant` names it, or ""."""

    label: str
    tags: tuple[str, ...]
    style: str
    colour: str


def with_article(thing: str) -> str:
    """The thing as in "a red apple"; plurals stay as they are."""
    if re.search(r"[^sui]s$", thing):
        return thing
    return f"an {thing}" if thing[0] in "aeiou" else f"a {thing}"


def plain_captions(words: Words, rng: np.random.Generator) -> list[str]:
    """`SLOTS` captions of a drawing in its own colours."""
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
    """`RECOLOURED_SLOTS` captions of a drawing that was given another colour; [] where its label cannot say so."""
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
