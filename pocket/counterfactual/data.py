"""What models are trained on and asked about."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from attribution_core.common.files import atomic_path
from pocket.counterfactual.made import prompted
from pocket.counterfactual.plan import Plan
from pocket.generator.denoiser import TrainingSet


@dataclass(frozen=True, eq=False)
class Data:
    """The images of a plan. training, held_out: in the order of its `rows` and `held_out`."""

    plan: Plan
    training: TrainingSet
    held_out: TrainingSet

    @cached_property
    def prompts(self) -> torch.Tensor:
        """(q, tokens, 384) text states of the captions that every model draws."""
        return self.training.short[torch.tensor(prompted(self.plan))]


@dataclass(frozen=True, eq=False)
class Packed:
    """The images of a plan for a machine that has neither the corpus nor room for text states.

    latents: (n + m, 4, 16, 16) float16 of training images, then held-out ones. short, long: (n + m,) numbers of their
    captions in a list whose first is empty.
    """

    plan: Plan
    latents: NDArray[np.float16]
    short: NDArray[np.int64]
    long: NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Write all arrays to one file."""
        plan = {f"plan_{f.name}": getattr(self.plan, f.name) for f in fields(Plan)}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, latents=self.latents, short=self.short, long=self.long, **plan)

    @classmethod
    def load(cls, path: Path) -> Packed:
        """Read what `save` wrote."""
        with np.load(path) as found:
            plan = Plan(**{f.name: found[f"plan_{f.name}"] for f in fields(Plan)})
            return cls(plan, found["latents"], found["short"], found["long"])

    def unpacked(self, states: torch.Tensor) -> Data:
        """Return the data. states: (1 + 2 (n + m), tokens, 384) of no caption, all short and all long ones."""
        empty, latents, captions = states[:1], torch.from_numpy(self.latents).float(), len(self.short)
        short, long = states[1 : 1 + captions], states[1 + captions :]
        n = len(self.plan.rows)
        training, held_out = (
            TrainingSet(latents[part], short[part], long[part], empty, torch.arange(len(latents[part])))
            for part in (slice(n), slice(n, None))
        )
        return Data(self.plan, training, held_out)
