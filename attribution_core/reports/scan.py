"""Many images at once: which are copies of training images, and how often a prompt brings one back."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from attribution_core.analyses.memorization.verdict import Returned, Verdict, returned
from attribution_core.collection.collection import Collection
from attribution_core.errors import InvalidInputError
from attribution_core.evidence.memorization import HOW_SIGNAL, MemorizationEvidence
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe


@dataclass(frozen=True, eq=False)
class ScannedImage:
    """One image. title: its file's name, or prompt and seed. signal: where it was made for this scan."""

    title: str
    image: Image.Image
    verdict: Verdict
    recipe: Recipe | None = None
    signal: NoiseSignal | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, without the picture."""
        made, signal = self.recipe, self.signal
        return {
            "title": self.title,
            "prompt": made and made.prompt,
            "seed": made and made.seed,
            "noise_signal": None if signal is None else {"mean": signal.mean, "steps": list(signal.steps)},
            **self.verdict.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class Scan:
    """Images and their verdicts, the closest to a training image first; see `of`."""

    items: tuple[ScannedImage, ...]
    corpus_of: Collection = field(repr=False)
    made: str
    evidence: MemorizationEvidence | None = None

    @classmethod
    def of(cls, items: Sequence[ScannedImage], collection: Collection) -> Scan:
        """Gather items over a collection. Raises `InvalidInputError` where there are none."""
        if not items:
            raise InvalidInputError(
                "there is no image to look at; give image files, folders of them, or prompts."
            )
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(
            tuple(sorted(items, key=lambda item: -float(item.verdict.similarity[0]))),
            collection,
            now,
            MemorizationEvidence.open(collection.path),
        )

    @property
    def collection(self) -> str:
        """Its name."""
        return self.corpus_of.name

    @property
    def copies(self) -> int:
        """How many are copies."""
        return sum(bool(item.verdict.is_copy) for item in self.items)

    @property
    def sentence(self) -> str:
        """How many are copies, in one sentence."""
        many = f"{len(self.items):,} image{'s' * (len(self.items) != 1)}"
        if self.items[0].verdict.threshold is None:
            return f"No verdict on {many}: from which similarity on an image is a copy is not known."
        if self.copies == 1:
            return f"1 of {many} is most likely a copy of a training image."
        return f"{self.copies:,} of {many} are most likely copies of training images."

    @property
    def how_signal(self) -> str:
        """How the noise signal is known; "" where none was recorded."""
        if not any(item.signal for item in self.items):
            return ""
        return self.evidence.how if self.evidence else HOW_SIGNAL

    def match(self, verdict: Verdict) -> Image.Image:
        """The training image nearest to an image."""
        return self.corpus_of.corpus.image(int(verdict.ids[0]))

    def prompts(self) -> dict[str, Returned]:
        """How often each prompt that was made more than once brings the same training image back."""
        grouped: dict[str, list[Verdict]] = {}
        for item in self.items:
            if item.recipe is not None:
                grouped.setdefault(item.recipe.prompt, []).append(item.verdict)
        return {prompt: returned(verdicts) for prompt, verdicts in grouped.items() if len(verdicts) > 1}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and text."""
        return {
            "collection": self.collection,
            "made": self.made,
            "images": len(self.items),
            "copies": self.copies,
            "sentence": self.sentence,
            "how": self.items[0].verdict.how,
            "how_noise_signal": self.how_signal,
            "prompts": [
                {
                    "prompt": prompt,
                    "images": r.images,
                    "copies": r.copies,
                    "nearest": r.nearest,
                    "match": self.corpus_of.corpus.credit(r.position).id,
                    "sentence": r.sentence,
                }
                for prompt, r in self.prompts().items()
            ],
            "items": [item.to_dict() for item in self.items],
        }

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
