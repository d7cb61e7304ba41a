"""A drawing that a collection's generator learned from: what it drew without and with it, as pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import CARD_NAME, Card, load_card, verify_files
from attribution_core.common.images import read_image
from attribution_core.errors import CheckpointError

FOLDER = "learned"
DRAWING = "drawing.png"


def picture_names(number: int) -> tuple[str, str]:
    """Files of a pair, numbered from 1: drawn without and with what was learned."""
    return f"{number}-without.png", f"{number}-learned.png"


class _Pair(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)
    prompt: str
    rank_without: int
    rank_learned: int


class _LearnedCard(Card):
    KIND: ClassVar[str] = "a learned drawing"
    title: str
    creator: str
    licence: str
    link: str
    steps: int
    candidates: int
    pairs: list[_Pair] = Field(min_length=1)


@dataclass(frozen=True)
class LearnedPair:
    """One prompt, drawn twice from the same noise. rank_*: of the drawing among all candidates, from 1."""

    prompt: str
    without: Image.Image = field(repr=False)
    learned: Image.Image = field(repr=False)
    rank_without: int
    rank_learned: int


@dataclass(frozen=True)
class LearnedDrawing:
    """The drawing, its credit, and what the generator drew. steps: of learning. candidates: images that were ranked."""

    image: Image.Image = field(repr=False)
    title: str
    creator: str
    licence: str
    link: str
    steps: int
    candidates: int
    pairs: tuple[LearnedPair, ...]

    @classmethod
    def open(cls, collection: Path) -> LearnedDrawing | None:
        """Read it from a collection's folder; None if it has none. Raises `CheckpointError` if it is damaged."""
        folder = CollectionLayout(collection).evidence(FOLDER)
        if not (folder / CARD_NAME).exists():
            return None
        card = load_card(folder, _LearnedCard)
        needed = {DRAWING, *(name for k in range(len(card.pairs)) for name in picture_names(k + 1))}
        if unlisted := sorted(needed - card.files.keys()):
            raise CheckpointError(
                f"'{folder / CARD_NAME}' does not list {', '.join(unlisted)}; make it again."
            )
        verify_files(folder)
        pairs = []
        for k, pair in enumerate(card.pairs, 1):
            without, learned = (read_image(folder / name) for name in picture_names(k))
            pairs.append(LearnedPair(pair.prompt, without, learned, pair.rank_without, pair.rank_learned))
        return cls(
            read_image(folder / DRAWING),
            card.title,
            card.creator,
            card.licence,
            card.link,
            card.steps,
            card.candidates,
            tuple(pairs),
        )
