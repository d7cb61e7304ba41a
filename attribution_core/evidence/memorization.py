"""Measurements of what a collection's own generator memorizes, read from the collection's folder.

`python -m pocket.evidence.memorization` makes them for the pocket collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate
from attribution_core.common.json_text import read_json
from attribution_core.errors import CheckpointError
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe

FILE = "memorization.json"
ORDINARY = 0.98
"""A signal stronger than that of this part of images of ordinary training prompts is that of a memorized one."""


@dataclass(frozen=True, eq=False)
class Signals:
    """The text-conditional noise signal over groups of prompts.

    means: per group, (n,) the signal of each image. steps: per group, (s,) the median at each step. auc: of planted
    prompts against each other group; 0.5 is chance. at: (steps, guidance) of the images. early: the same as means, of
    the first `early_steps` steps alone; empty where it was not measured.
    """

    means: Mapping[str, NDArray[np.float64]]
    steps: Mapping[str, NDArray[np.float64]]
    auc: Mapping[str, Estimate]
    at: tuple[int, float]
    early: Mapping[str, NDArray[np.float64]]
    early_steps: int = 0

    def above(self, group: str, value: float) -> float:
        """Return the fraction of a group's images whose signal is below `value`; equal ones count half."""
        return fraction_below(self.means[group], value)

    def is_memorized(self, signal: NoiseSignal) -> bool:
        """Whether a signal is stronger than nearly all of ordinary training prompts.

        Of an unfinished image only the early steps count; before these are done it is False.
        """
        if len(signal.steps) >= self.at[0]:
            return self.above("training", signal.mean) >= ORDINARY
        if "training" not in self.early or len(signal.steps) < self.early_steps:
            return False
        soon = NoiseSignal(signal.steps[: self.early_steps])
        return fraction_below(self.early["training"], soon.mean) >= ORDINARY


@dataclass(frozen=True)
class GroupRates:
    """Images of one group of prompts.

    called: the part that is called copies, in [0, 1]. drop, drop_95: median and 95 % quantile of their drop-offs.
    """

    called: float
    drop: float
    drop_95: float


@dataclass(frozen=True)
class CopyRates:
    """How well copies are recognised among the generator's own images, each in [0, 1].

    recall: the part of images of planted prompts that is called copies. recall_changed: the same after changes such as
    mirroring and cropping. precision: the part of what is called a copy that came from a planted prompt and not from
    its matched control; None where nothing is called a copy. groups: by name, "training" and "fresh" at least.
    """

    recall: float
    recall_changed: float
    precision: float | None
    groups: Mapping[str, GroupRates]


@dataclass(frozen=True, eq=False)
class MemorizationEvidence:
    """The measurements. generator_sha256: of the generator that was measured.

    seconds: that drawing one image took on the machine that measured; None where that was not written down.
    """

    generator_sha256: str
    signals: Signals
    copies: CopyRates
    seconds: float | None = None

    @classmethod
    def open(cls, collection: Path | str) -> MemorizationEvidence | None:
        """Read it from a collection's folder; None if it has none. Raises `CheckpointError` if the file is damaged."""
        path = CollectionLayout(Path(collection)).evidence(FILE)
        if not path.exists():
            return None
        try:
            stored = read_json(path)
            signals = _signals(stored)
            stored_means = [*signals.means.values(), *signals.early.values()]
            finite = all(v.ndim == 1 and v.size and np.isfinite(v).all() for v in stored_means)
            if "training" not in signals.auc or not finite:
                raise ValueError("a group of prompts holds no numbers")
            took = stored.get("seconds", {}).get("make one image, signal recorded")
            return cls(
                str(stored["generator_sha256"]),
                signals,
                _copy_rates(stored["copies"]),
                None if took is None else float(took),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({type(error).__name__}: {error}); build it again with "
                "'python -m pocket.evidence.memorization', or delete it."
            ) from error

    def recites(self, recipe: Recipe, signal: NoiseSignal) -> bool:
        """Whether the signal of an image, finished or not, is that of a memorized prompt.

        False where the like of it was not measured.
        """
        measured = recipe.generator_sha256 == self.generator_sha256 and self.signals.at == (
            recipe.steps,
            recipe.guidance,
        )
        return measured and self.signals.is_memorized(signal)

    def stands_apart(self, after: int, drop: float) -> bool:
        """Whether one training image stands further apart than for 95 % of images of ordinary training prompts."""
        return after == 1 and drop > self.copies.groups["training"].drop_95


def fraction_below(values: NDArray[np.float64], value: float) -> float:
    """Return the fraction of values below `value`; equal ones count half."""
    return float(((values < value).sum() + 0.5 * (values == value).sum()) / len(values))


def _signals(stored: Mapping[str, Any]) -> Signals:
    signal, early = stored["signal"], stored["signal"].get("early", {})
    return Signals(
        _arrays(signal["means"]),
        _arrays(signal["steps"]),
        {name: Estimate(**value) for name, value in signal["auc"].items()},
        (int(stored["steps"]), float(stored["guidance"])),
        _arrays(early.get("means", {})),
        int(early.get("steps", 0)),
    )


def _arrays(groups: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array(values, dtype=np.float64) for name, values in groups.items()}


def _copy_rates(stored: Mapping[str, Any]) -> CopyRates:
    made, changed = stored["made"], stored["made and changed"]
    groups = {
        name: GroupRates(float(row["called"]), float(row["drop"]), float(row["drop_95"]))
        for name, row in stored["groups"].items()
    }
    if not groups.keys() >= {"training", "fresh"}:
        raise ValueError("the rates of a group of prompts are missing")
    return CopyRates(
        float(made["recall"]["value"]),
        float(changed["recall"]["value"]),
        None if made["precision"] is None else float(made["precision"]["value"]),
        groups,
    )
