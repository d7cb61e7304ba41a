"""Whether an image was made by a model that was trained on the collection, which shares of influence presuppose."""

from __future__ import annotations

from enum import StrEnum

from attribution_core.collection.collection import Collection
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.weights import weights_sha256


class MadeBy(StrEnum):
    """What is known of an image's making."""

    THIS_GENERATOR = "this generator"
    """Its recipe names the weights of the collection's own generator."""
    SAID_SO = "said so"
    """Whoever brought it says that a model trained on this collection made it."""
    UNKNOWN = "unknown"


def made_by(recipe: Recipe | None, collection: Collection, *, said_so: bool = False) -> MadeBy:
    """Tell from an image's recipe, and from what its owner says, whether shares of influence mean anything for it.

    A recipe is what the image's file claims; nobody proves it.
    """
    if recipe is not None and recipe.generator_sha256 and collection.generator_path is not None:
        if recipe.generator_sha256 == weights_sha256(collection.generator_path):
            return MadeBy.THIS_GENERATOR
    return MadeBy.SAID_SO if said_so else MadeBy.UNKNOWN
