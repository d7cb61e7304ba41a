"""Which images the benchmark trains on, and which of them each of its models sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STYLES = ("blob", "emojione", "fluent", "fluent flat", "noto")
CONCEPTS = 200
"""Each drawn in every one of `STYLES`."""
HELD_OUT = 100
HALVES = 64
TWICE = 16
"""Halves that are trained with a second seed, which tells how much of a loss is chance."""
WITHOUT_CONCEPT = 20
_SEED = 22


@dataclass(frozen=True)
class Run:
    """A model to train.

    name: of its files. kept: (n,) which of the plan's images it sees. seed: of its training. draws: whether it draws
    the prompts too.
    """

    name: str
    kept: NDArray[np.bool_]
    seed: int = 0
    draws: bool = True


@dataclass(frozen=True, eq=False)
class Plan:
    """The images, by their positions in the corpus, and the models.

    Attributes:
        rows: (n,) images to train on.
        styles, concepts: (n,) of each.
        held_out: (m,) drawings in the same styles of concepts that no model sees.
    """

    rows: NDArray[np.int64]
    styles: NDArray[np.str_]
    concepts: NDArray[np.str_]
    held_out: NDArray[np.int64]

    @classmethod
    def of(cls, styles: Sequence[str], concepts: Sequence[str], planted: Sequence[str]) -> Plan:
        """Choose the images of a corpus; the same corpus gives the same plan.

        styles, concepts, planted: its columns. Raises `ValueError` where too few concepts are drawn in all styles.
        """
        places: dict[tuple[str, str], int] = {}
        for place, (style, concept, kind) in enumerate(zip(styles, concepts, planted, strict=True)):
            if style in STYLES and concept and not kind:
                places.setdefault((style, concept), place)
        everywhere = sorted(
            {c for _, c in places} & {c for c in concepts if all((style, c) in places for style in STYLES)}
        )
        if len(everywhere) <= CONCEPTS:
            raise ValueError(
                f"{len(everywhere)} concepts are drawn in all styles, expected more than {CONCEPTS}"
            )
        order = np.random.default_rng(_SEED).permutation(len(everywhere))
        chosen, others = (
            [everywhere[k] for k in part] for part in (sorted(order[:CONCEPTS]), order[CONCEPTS:])
        )
        pairs = [(style, concept) for style in STYLES for concept in chosen]
        spare = [(STYLES[k % len(STYLES)], concept) for k, concept in enumerate(others)][:HELD_OUT]
        return cls(
            np.array([places[pair] for pair in pairs]),
            np.array([style for style, _ in pairs]),
            np.array([concept for _, concept in pairs]),
            np.array([places[pair] for pair in spare]),
        )

    def halves(self) -> NDArray[np.bool_]:
        """(HALVES, n) which images each half holds: exactly half of them, drawn evenly."""
        n, rng = len(self.rows), np.random.default_rng(_SEED + 1)
        kept = np.zeros((HALVES, n), bool)
        for half in kept:
            half[rng.choice(n, n // 2, replace=False)] = True
        return kept

    def runs(self) -> Iterator[Run]:
        """Yield all models, those that the most depends on first."""
        everything = np.ones(len(self.rows), bool)
        yield Run("full", everything)
        for style in STYLES:
            yield Run(f"without-{style.replace(' ', '-')}", self.styles != style)
        halves = self.halves()
        for number, kept in enumerate(halves):
            yield Run(f"half-{number:02d}", kept, draws=False)
        for number, kept in enumerate(halves[:TWICE]):
            yield Run(f"half-{number:02d}-again", kept, seed=1, draws=False)
        for concept in self.left_out():
            yield Run(f"without-{concept}", self.concepts != concept)
        yield Run("full-again", everything, seed=1)

    def left_out(self) -> list[str]:
        """Return the concepts that a model each does not see."""
        return [str(concept) for concept in np.unique(self.concepts)[:: CONCEPTS // WITHOUT_CONCEPT]]
