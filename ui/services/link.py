"""Links that open the same result: the recipe of an image in the page's own address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from attribution_core.errors import CheckpointError, unknown_name
from attribution_core.generation.recipe import Recipe
from ui.services.app import MAX_PROMPT, Query, Services, checked_prompt

_MARK = 12  # digits of the generator's checksum in a link
OTHER_GENERATOR = (
    "It was made by another generator, or by another version of this one: the same fields give another "
    "image here."
)


@dataclass(frozen=True)
class Link:
    """What a link asks for. recipe: checked, though not of this generator perhaps; notices: what to say of that."""

    recipe: Recipe
    method: str
    notices: tuple[str, ...] = ()


def read_link(values: Mapping[str, str], services: Services) -> Link | None:
    """What the parameters of the page's address ask for; None without a prompt.

    Raises `InvalidInputError` for a value out of range, `UnknownNameError` for an unknown method, `CheckpointError`
    where the collection has no generator.
    """
    if not values.get("prompt", "").strip():
        return None
    usual, collection = services.defaults, services.collection
    if services.generator is None:
        raise CheckpointError("this collection has no generator.")
    given = {"seed": 1, "steps": usual.steps, "guidance": usual.guidance, **values}
    recipe = Recipe.from_dict(
        {name: given[name] for name in ("seed", "steps", "guidance")}
        | {"prompt": checked_prompt(values["prompt"])}
    )
    method = values.get("method") or collection.method
    if method not in collection.methods:
        raise unknown_name("method", method, list(collection.methods))
    mark = values.get("generator", "")
    same = not mark or services.generator.sha256.startswith(mark)
    return Link(recipe, method, () if same else (OTHER_GENERATOR,))


def write_link(query: Query | None, services: Services) -> str:
    """The end of an address that makes this image again, from "?" on; "" where that cannot be promised."""
    if query is None or query.recipe is None or not repeats(query.recipe, services):
        return ""
    made = query.recipe
    values = {"prompt": made.prompt, "seed": made.seed, "steps": made.steps, "guidance": made.guidance}
    if made.generator_sha256:
        values["generator"] = made.generator_sha256[:_MARK]
    return "?" + urlencode(values, quote_via=quote)


def repeats(recipe: Recipe, services: Services) -> bool:
    """Whether the collection's generator is the one that the recipe names; a recipe that names none is believed."""
    if services.generator is None or not 0 < len(recipe.prompt) <= MAX_PROMPT:
        return False
    return not recipe.generator_sha256 or recipe.generator_sha256 == services.generator.sha256
