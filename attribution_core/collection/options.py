"""How a collection is indexed, and what encodes its images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from attribution_core.corpus.near_duplicates import LARGEST, THRESHOLD
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.errors import InvalidInputError, unknown_name
from attribution_core.retrieval.backends import AUTO, check_factory

COPY_ENCODER = "copy_encoder"
"""Key of the copy-detection encoder in a collection's card."""


@dataclass(frozen=True)
class IndexOptions:
    """What can be changed later without encoding an image again.

    factory: as in `TrainingIndex.build`. near_duplicates: images up to this distance count
    as one work, 0 to 0.5; None groups none. copy_encoder: tells copies of the images; None names none, or keeps the
    collection's own. Raises `InvalidInputError` if a number is out of range or the address is not valid,
    `UnknownNameError` for an unknown factory or encoder.
    """

    factory: str = AUTO
    near_duplicates: float | None = THRESHOLD
    copy_encoder: str | None = None

    def __post_init__(self) -> None:
        """Check all, and write the factory as cards do."""
        if self.near_duplicates is not None and not 0 <= self.near_duplicates <= LARGEST:
            raise InvalidInputError(
                f"near_duplicates is {self.near_duplicates:g}, expected 0 to {LARGEST:g}, or off."
            )
        if self.copy_encoder is not None and self.copy_encoder not in ENCODERS:
            raise unknown_name("copy encoder", self.copy_encoder, ENCODERS)
        object.__setattr__(self, "factory", check_factory(self.factory))

    @property
    def in_card(self) -> dict[str, Any]:
        """The entries of a collection's card."""
        card: dict[str, Any] = {
            "factory": self.factory,
            "near_duplicates": {"threshold": self.near_duplicates},
        }
        return card if self.copy_encoder is None else {**card, COPY_ENCODER: self.copy_encoder}


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
