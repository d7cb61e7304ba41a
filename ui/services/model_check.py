"""What the fold “Check this model” asks of the library: prompts to draw, drawn images with verdicts, the report."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from attribution_core.analyses.memorization.model_check import (
    CheckedImage,
    CheckSettings,
    as_prompts,
    training_captions,
)
from attribution_core.common.arrays import whole
from attribution_core.common.progress import Progress
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.generation.generator import GeneratedImage
from attribution_core.reports.model_check import ModelCheck
from ui.services.app import Query, checked_prompt
from ui.services.memorization import MemorizationServices

MOST_PROMPTS, MOST_SEEDS, MOST_IMAGES = 20, 8, 60
"""Of one check on the page; the command `check-model` draws as many as it is asked for."""
CAPTIONS, OWN = "captions", "own"
_DRAWING = "drawing and comparing"


@dataclass(frozen=True)
class CheckStep:
    """What is done of a check. images: all that were drawn so far."""

    progress: Progress
    images: tuple[CheckedImage, ...]


class ModelCheckServices:
    """The questions of the fold, over one opened collection."""

    def __init__(self, own: MemorizationServices) -> None:
        """own: of the tab."""
        self._own, self._services = own, own.services
        evidence = self._services.memorization_evidence
        self._seconds = None if evidence is None else evidence.seconds

    def estimate(self, source: str, captions: Any, prompts: str, seeds: Any) -> tuple[int, float | None]:
        """How many images a check draws, and about how many seconds that takes; None where nothing was timed yet.

        Raises `InvalidInputError` as `check` does.
        """
        count = len(self._texts(source, captions, prompts, lot=0)) * _count("seeds", seeds, MOST_SEEDS)
        return count, None if self._seconds is None else count * self._seconds

    def check(self, source: str, captions: Any, prompts: str, seeds: Any) -> Iterator[CheckStep]:
        """Draw and compare, image by image; closing it stops the work.

        source: `CAPTIONS` for training captions by lot, or `OWN` for the lines of `prompts`. Raises
        `InvalidInputError` for values out of range, or more than `MOST_IMAGES` images, `CheckpointError` without a
        generator.
        """
        texts = self._texts(source, captions, prompts, secrets.randbelow(2**32))
        seeds = _count("seeds", seeds, MOST_SEEDS)
        if len(texts) * seeds > MOST_IMAGES:
            raise InvalidInputError(
                f"that is {len(texts) * seeds} images, and {MOST_IMAGES} are drawn here at most; ask for less, or use "
                "the command check-model."
            )
        if self._services.generator is None:
            raise CheckpointError("this collection has no generator that could be checked.")
        self._own.checker.prepare()
        return self._checked(CheckSettings(as_prompts(self._services.collection.corpus, texts), seeds))

    def _checked(self, settings: CheckSettings) -> Iterator[CheckStep]:
        images: list[CheckedImage] = []
        yield CheckStep(self._progress(0, settings.images), ())
        for seed in range(1, settings.seeds + 1):
            for prompt in settings.prompts:
                began = time.monotonic()
                for event in self._own.make(prompt.text, seed):
                    if isinstance(event, Query) and event.recipe is not None:
                        made = GeneratedImage(event.image, event.recipe, noise_signal=event.noise_signal)
                        images.append(CheckedImage(prompt, made, self._own.checker.check(event.image)))
                took = time.monotonic() - began
                self._seconds = took if self._seconds is None else 0.7 * self._seconds + 0.3 * took
                yield CheckStep(self._progress(len(images), settings.images), tuple(images))

    def _progress(self, done: int, total: int) -> Progress:
        left = None if self._seconds is None else (total - done) * self._seconds
        return Progress(_DRAWING, done, total, left)

    def report(self, images: Sequence[CheckedImage] | None, *, shares: bool = False) -> ModelCheck:
        """What was found. shares: attribute the images as well. Raises `InvalidInputError` without images."""
        services = self._services
        if not images or services.generator is None:
            raise InvalidInputError("nothing was drawn yet; start the check first.")
        trained_here = shares and not services.settings.generator
        return ModelCheck.of(
            images,
            services.collection,
            services.generator.title,
            trained_here=trained_here,
            device=services.settings.device,
        )

    def _texts(self, source: str, captions: Any, prompts: str, lot: int) -> list[str]:
        if source == CAPTIONS:
            return training_captions(
                self._services.collection.corpus, _count("captions", captions, MOST_PROMPTS), lot
            )
        if source != OWN:
            raise InvalidInputError(f"prompts come from '{CAPTIONS}' or '{OWN}', not from {source!r:.40}.")
        texts = list(
            dict.fromkeys(checked_prompt(line) for line in (prompts or "").splitlines() if line.strip())
        )
        if not texts:
            raise InvalidInputError("there is no prompt; write one per line.")
        if len(texts) > MOST_PROMPTS:
            raise InvalidInputError(f"there are {len(texts)} prompts, and {MOST_PROMPTS} are drawn at most.")
        return texts


def _count(name: str, value: Any, most: int) -> int:
    """A whole number from 1. value: as a slider gives it, perhaps 4.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return whole(name, value, 1, most)
