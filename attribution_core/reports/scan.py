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
from attribution_core.evidence.memorization import MemorizationEvidence
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.as_dict import verdict_dict
from attribution_core.reports.wording.noise_signal import signal_how
from attribution_core.reports.wording.verdict import returned_sentence, verdict_how, verdicts_sentence


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
        recipe, signal = self.recipe, self.signal
        return {
            "title": self.title,
            "prompt": recipe and recipe.prompt,
            "seed": recipe and recipe.seed,
            "noise_signal": None if signal is None else {"mean": signal.mean, "steps": list(signal.steps)},
            **verdict_dict(self.verdict),
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
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each image."""
        return tuple(item.verdict for item in self.items)

    @property
    def signal_how(self) -> str:
        """What the noise signal is based on; "" where none was recorded."""
        return signal_how(self.evidence) if any(item.signal for item in self.items) else ""

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
            "sentence": verdicts_sentence(self.verdicts),
            "how": verdict_how(self.verdicts[0]),
            "how_noise_signal": self.signal_how,
            "prompts": [
                {
                    "prompt": prompt,
                    "images": r.images,
                    "copies": r.copies,
                    "nearest": r.nearest,
                    "match": self.corpus_of.corpus.credit(r.position).id,
                    "sentence": returned_sentence(r),
                }
                for prompt, r in self.prompts().items()
            ],
            "items": [item.to_dict() for item in self.items],
        }

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
