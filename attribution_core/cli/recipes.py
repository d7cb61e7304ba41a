"""The recipe that an image brings, for the commands that attribute it."""

from __future__ import annotations

from pathlib import Path

import typer

from attribution_core.common.images import read_recipe
from attribution_core.errors import InvalidInputError
from attribution_core.generation.recipe import Recipe


def recipe_of(image: Path) -> Recipe | None:
    """Read the recipe in a PNG; None, with a note on stderr, where it is damaged. Raises `InvalidImageError`."""
    values = read_recipe(image)
    if values is None:
        return None
    try:
        return Recipe.from_dict(values)
    except InvalidInputError as error:
        typer.echo(f"note: the recipe in '{image.name}' is ignored: {error}", err=True)
        return None
