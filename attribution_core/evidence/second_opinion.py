"""Measurements of similarity against unlearning, on images whose exemplar is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate
from attribution_core.common.json_text import read_json
from attribution_core.errors import CheckpointError

FILE = "second_opinion.json"


@dataclass(frozen=True)
class FirstPlaces:
    """How often each method ranked the true source first. kind: of images, "planted" or "tuned"."""

    kind: str
    images: int
    similarity: Estimate
    unlearning: Estimate
    decoy: Estimate

    @classmethod
    def of(cls, kind: str, stored: dict[str, Any]) -> FirstPlaces:
        """Read what the recipe wrote for a kind."""
        first = [Estimate(**stored["found"][method]["first 1"]) for method in ("similarity", "unlearning")]
        decoy = Estimate(**stored["unlearning: above the decoy"])
        return cls(kind, stored["images"], first[0], first[1], decoy)


@dataclass(frozen=True)
class SecondOpinionEvidence:
    """The test of one collection. generator_sha256: of the generator that was used."""

    date: str
    method: str
    generator_sha256: str
    known: tuple[FirstPlaces, ...]

    @classmethod
    def open(cls, collection: Path) -> SecondOpinionEvidence | None:
        """Read it from a collection's folder; None if it has none. Raises `CheckpointError` if the file is damaged."""
        path = CollectionLayout(collection).evidence(FILE)
        if not path.exists():
            return None
        try:
            stored = read_json(path)
            known = tuple(FirstPlaces.of(kind, stored[kind]) for kind in ("planted", "tuned"))
            return cls(stored["date"], stored["method"], stored["generator_sha256"], known)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({error!r}); run `python -m pocket.evidence.second_opinion` again."
            ) from error
