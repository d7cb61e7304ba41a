"""Which prompts come close to an artist's work? Draw several, and see where the artist's images would stand in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from attribution_core.analyses.artwork.nearest import check_method
from attribution_core.analyses.artwork.standing import (
    LIST_LENGTH,
    Candidates,
    Standing,
    would_be_credited,
)
from attribution_core.attribution.attributor import Attributor
from attribution_core.common.progress import OnProgress, ProgressReporter
from attribution_core.errors import InvalidInputError
from attribution_core.generation.generator import Generator

if TYPE_CHECKING:
    from PIL import Image

MOST_PROMPTS = 20
LONGEST_PROMPT = 500  # characters


@dataclass(frozen=True, eq=False)
class PromptStanding:
    """The image of one prompt, and the artist's standing for it."""

    prompt: str
    image: Image.Image = field(repr=False)
    standing: Standing


@dataclass(frozen=True, eq=False)
class Survey:
    """An artist's standing for several prompts. rows: in the order of the prompts."""

    artist: str
    seed: int
    rows: tuple[PromptStanding, ...]

    @property
    def ranked(self) -> tuple[PromptStanding, ...]:
        """The rows, closest to the artist's work first."""
        return tuple(sorted(self.rows, key=lambda row: -row.standing.share))


def survey(
    attributor: Attributor,
    generator: Generator,
    candidates: Candidates,
    prompts: Sequence[str],
    *,
    seed: int = 1,
    steps: int | None = None,
    guidance: float | None = None,
    top: int = LIST_LENGTH,
    on_step: OnProgress | None = None,
) -> Survey:
    """Generate an image of each prompt and rank the artist's images among its candidates.

    seed: of every image. steps, guidance: None takes the generator's own. on_step: progress; what it raises ends
    the work and is passed on. Raises `InvalidInputError` for bad prompts (see `checked_prompts`) or values.
    """
    unique = checked_prompts(prompts)
    total = len(unique) * (generator.defaults.steps if steps is None else steps)
    rows = []
    progress = ProgressReporter("drawing the prompts", total, on_step)
    progress.start()
    for prompt in unique:
        image = generator.generate(prompt, seed, steps, guidance, lambda _: progress.add()).image
        rows.append(PromptStanding(prompt, image, would_be_credited(attributor, image, candidates, top)))
    return Survey(candidates.artwork.artist, seed, tuple(rows))


def checked_prompts(prompts: Sequence[str], most: int = MOST_PROMPTS) -> tuple[str, ...]:
    """Prompts with whitespace normalised, without empty ones and repetitions. Raises `InvalidInputError`."""
    unique = tuple(dict.fromkeys(" ".join(p.split()) for p in prompts if p.strip()))
    if not unique:
        raise InvalidInputError("there is no prompt; write one on each line.")
    if len(unique) > most:
        raise InvalidInputError(f"there are {len(unique)} prompts, at most {most} are drawn at once.")
    longest = max(len(p) for p in unique)
    if longest > LONGEST_PROMPT:
        raise InvalidInputError(f"a prompt has {longest} characters, at most {LONGEST_PROMPT} are read.")
    return unique


def close_prompts(attributor: Attributor, candidates: Candidates, count: int = 8) -> tuple[str, ...]:
    """Captions of the training images closest to an artist's images, as prompts that may come close to them.

    The closest to each image in turn, each caption once. Raises `CollectionMismatchError` where the candidates are
    of another method.
    """
    collection = attributor.collection
    check_method(attributor, candidates)
    hits = collection.index.nearest(candidates.rows, min(4 * count, len(collection.index)))
    captions: dict[str, None] = {}
    for column in hits.ids.T:
        for place in column:
            if caption := " ".join(collection.corpus.credit(int(place)).caption.split())[:LONGEST_PROMPT]:
                captions.setdefault(caption)
            if len(captions) == count:
                return tuple(captions)
    return tuple(captions)
