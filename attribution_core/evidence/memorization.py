"""Measurements of what a collection's own generator memorizes, read from the collection's folder.

`python -m pocket.evidence.memorization` makes them for the pocket collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate
from attribution_core.common.json_text import read_json
from attribution_core.common.text import listing
from attribution_core.errors import CheckpointError
from attribution_core.generation.noise_signal import NoiseSignal

FILE = "memorization.json"
GROUPS = {
    "planted": "prompts of images that were repeated in training on purpose",
    "control": "prompts of matched training images that were not",
    "training": "other training prompts",
    "fresh": "prompts that the generator never saw",
}
"""Descriptions of the groups of prompts, for people."""


@dataclass(frozen=True, eq=False)
class Signals:
    """The text-conditional noise signal over groups of prompts.

    means: per group, (n,) the signal of each image. steps: per group, (s,) the median at each step. auc: of planted
    prompts against each other group; 0.5 is chance. at: (steps, guidance) of the images.
    """

    means: Mapping[str, NDArray[np.float64]]
    steps: Mapping[str, NDArray[np.float64]]
    auc: Mapping[str, Estimate]
    at: tuple[int, float]

    def above(self, group: str, value: float) -> float:
        """Return the fraction of a group's images whose signal is below `value`; equal ones count half."""
        means = self.means[group]
        return float(((means < value).sum() + 0.5 * (means == value).sum()) / len(means))

    def sentence(self, signal: NoiseSignal) -> str:
        """Say how a signal compares with the groups."""
        parts = [
            f"{self.above(group, signal.mean):.0%} of images of {GROUPS.get(group, group)}"
            for group in ("fresh", "training", "planted")
            if group in self.means
        ]
        return f"The signal is {signal.mean:.2f}: stronger than that of {listing(parts)}."


@dataclass(frozen=True, eq=False)
class MemorizationEvidence:
    """All measurements. generator_sha256: of the generator that was measured. told: the content of the file."""

    generator_sha256: str
    signals: Signals
    told: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, collection: Path | str) -> MemorizationEvidence | None:
        """Read it from a collection's folder; None if it has none. Raises `CheckpointError` if the file is damaged."""
        path = CollectionLayout(Path(collection)).evidence(FILE)
        if not path.exists():
            return None
        try:
            stored = read_json(path)
            signal = stored["signal"]
            signals = Signals(
                {name: np.array(values, dtype=np.float64) for name, values in signal["means"].items()},
                {name: np.array(values, dtype=np.float64) for name, values in signal["steps"].items()},
                {name: Estimate(**value) for name, value in signal["auc"].items()},
                (int(stored["steps"]), float(stored["guidance"])),
            )
            complete = all(v.ndim == 1 and v.size and np.isfinite(v).all() for v in signals.means.values())
            if "training" not in signals.auc or not complete:
                raise ValueError("a group of prompts holds no numbers")
            evidence = cls(str(stored["generator_sha256"]), signals, stored)
            _ = evidence.how_copies, evidence.stands_apart(1, 0.0)  # fail now if a value is missing
            return evidence
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({type(error).__name__}: {error}); build it again with "
                "'python -m pocket.evidence.memorization', or delete it."
            ) from error

    def stands_apart(self, after: int, drop: float) -> bool:
        """Whether one training image stands out more than in 95 % of images of ordinary training prompts."""
        return after == 1 and drop > float(self.told["copies"]["groups"]["training"]["drop_95"])

    @property
    def how_copies(self) -> str:
        """Say how well copies are recognised among this generator's own images."""
        unchanged, changed, groups = (
            self.told["copies"][name] for name in ("made", "made and changed", "groups")
        )
        precision = (
            ""
            if unchanged["precision"] is None
            else (
                f" {unchanged['precision']['value']:.0%} of detected copies came from such a prompt rather than a "
                "matched one that was not repeated;"
            )
        )
        return (
            f"On this generator's own images: {unchanged['recall']['value']:.0%} of images from prompts that were "
            f"repeated in training on purpose are detected as copies, and {changed['recall']['value']:.0%} after "
            f"changes such as mirroring and cropping;{precision} {groups['training']['called']:.1%} of images from "
            f"other training prompts and {groups['fresh']['called']:.1%} of images from prompts that it never saw are "
            "called copies."
        )

    @property
    def how(self) -> str:
        """Say how the noise signal is measured, and how far it can be trusted."""
        (steps, guidance), auc = self.signals.at, self.signals.auc["training"]
        return (
            f"{HOW_SIGNAL} Given a planted and another training prompt, the planted one has the stronger signal in "
            f"{auc.value:.0%} of cases (95 % interval {auc.low:.0%} to {auc.high:.0%}); 50 % would be chance. "
            f"Measured on this generator at {steps} steps and guidance scale {guidance:g}."
        )


HOW_SIGNAL = (
    "At each step the generator predicts the noise with and without the prompt. The signal is the length of the "
    "difference, averaged over steps (Wen et al., ICLR 2024); prompts with a strong signal often reproduce a training "
    "image."
)
