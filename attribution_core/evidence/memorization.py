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
            told = read_json(path)
            found = told["signal"]
            signals = Signals(
                {name: np.array(values, dtype=np.float64) for name, values in found["means"].items()},
                {name: np.array(values, dtype=np.float64) for name, values in found["steps"].items()},
                {name: Estimate(**value) for name, value in found["auc"].items()},
                (int(told["steps"]), float(told["guidance"])),
            )
            whole = all(v.ndim == 1 and v.size and np.isfinite(v).all() for v in signals.means.values())
            if "training" not in signals.auc or not whole:
                raise ValueError("a group of prompts holds no numbers")
            read = cls(str(told["generator_sha256"]), signals, told)
            _ = read.how_copies, read.stands_apart(1, 0.0)  # fail now if a value is missing
            return read
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({type(error).__name__}: {error}); make it again with "
                "'python -m pocket.evidence.memorization', or delete it."
            ) from error

    def stands_apart(self, after: int, drop: float) -> bool:
        """Whether one training image stands out more than in 95 % of images of ordinary training prompts."""
        return after == 1 and drop > float(self.told["copies"]["groups"]["training"]["drop_95"])

    @property
    def how_copies(self) -> str:
        """Say how well copies are recognised among this generator's own images."""
        made, changed, groups = (self.told["copies"][name] for name in ("made", "made and changed", "groups"))
        right = (
            ""
            if made["precision"] is None
            else (
                f" of what is called a copy {made['precision']['value']:.0%} came from such a prompt, and not from a "
                "matched one that was not repeated;"
            )
        )
        return (
            f"On this generator's own images: of those of prompts that were repeated in training on purpose "
            f"{made['recall']['value']:.0%} are found to be copies, after changes such as mirroring and cropping "
            f"{changed['recall']['value']:.0%};{right} of images of other training prompts "
            f"{groups['training']['called']:.1%} are called copies, of those of prompts it never saw "
            f"{groups['fresh']['called']:.1%}."
        )

    @property
    def how(self) -> str:
        """Say how the noise signal is measured, and how far it can be trusted."""
        told, auc = self.signals, self.signals.auc["training"]
        return (
            f"{HOW_SIGNAL} Of a planted and of another training prompt, the planted one has the stronger signal in "
            f"{auc.value:.0%} of cases (95 % interval {auc.low:.0%} to {auc.high:.0%}); 50 % would be chance. "
            f"Measured on this generator at {told.at[0]} steps and guidance {told.at[1]:g}."
        )


HOW_SIGNAL = (
    "At each step the generator predicts the noise with and without the words. The signal is the length of "
    "the difference, averaged over steps (Wen et al., ICLR 2024): words that pull hard often recite."
)
