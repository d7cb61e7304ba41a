"""How a collection is indexed, and what encodes its images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from attribution_core.corpus.near_duplicates import LARGEST, THRESHOLD
from attribution_core.errors import InvalidInputError, unknown_name
from attribution_core.retrieval.backends import AUTO, check_factory


@dataclass(frozen=True)
class IndexOptions:
    """What can be changed later without encoding an image again.

    factory: as in `TrainingIndex.build`. near_duplicates: images up to this distance count
    as one work, 0 to 0.5; None groups none. Raises `InvalidInputError` if it is out of range or the address is not
    valid, `UnknownNameError` for an unknown factory.
    """

    factory: str = AUTO
    near_duplicates: float | None = THRESHOLD

    def __post_init__(self) -> None:
        """Check both, and write the factory as cards do."""
        if self.near_duplicates is not None and not 0 <= self.near_duplicates <= LARGEST:
            raise InvalidInputError(
                f"near_duplicates is {self.near_duplicates:g}, expected 0 to {LARGEST:g}, or off."
            )
        object.__setattr__(self, "factory", check_factory(self.factory))


class EngineKind(StrEnum):
    """What encodes the images: this program, or workers on a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class Engine:
    """What encodes the images; the result is the same, and each engine resumes what the other began.

    workers: encoders at once on Ray; None for one per GPU, else one per machine. Raises `UnknownNameError` for an
    unknown kind, `InvalidInputError` for workers below 1 or without Ray.
    """

    kind: EngineKind | str = EngineKind.LOCAL
    workers: int | None = None

    def __post_init__(self) -> None:
        """Check that they fit together."""
        if self.kind not in list(EngineKind):
            raise unknown_name("engine", self.kind, map(str, EngineKind))
        if self.workers is None:
            return
        if self.kind == EngineKind.LOCAL:
            raise InvalidInputError(
                f"workers is {self.workers}, but the engine 'local' has none; give the engine 'ray', too."
            )
        if self.workers < 1:
            raise InvalidInputError(f"workers is {self.workers}, expected at least 1.")
