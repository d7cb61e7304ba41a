"""A collection's stored examples: images that its generator drew, with their recipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.images import read_recipe
from attribution_core.generation.recipe import Recipe


def stored_examples(layout: CollectionLayout) -> Iterator[tuple[Path, Recipe]]:
    """Yield the file and the recipe of each example, in the order of their names; files without a recipe are left out.

    Raises `InvalidImageError` for a damaged file, `InvalidInputError` for a damaged recipe.
    """
    for path in sorted(layout.examples.glob("*.png")):
        recipe = read_recipe(path)
        if recipe is not None:
            yield path, Recipe.from_dict(recipe)
