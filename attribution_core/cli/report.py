"""The command `report`: write the attribution of an image as a self-contained file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    image: Annotated[
        Path, typer.Argument(help="The generated image; the recipe is read from PNG files of this program.")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Method of the collection; default: its own.")] = None,
    top: Annotated[
        int, typer.Option(help="Number of training images to list; the first 12 have pictures.")
    ] = 50,
    temperature: Annotated[float | None, typer.Option(help="Use instead of the fitted temperature.")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file to write as well.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Attribute IMAGE and write one HTML file, without scripts or external resources, with all results."""
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.collection.collection import Collection
    from attribution_core.common.files import atomic_path
    from attribution_core.common.images import read_image, read_recipe
    from attribution_core.errors import InvalidInputError
    from attribution_core.generation.recipe import Recipe
    from attribution_core.reports.html import report_page
    from attribution_core.reports.report import make_report
    from attribution_core.settings import Settings

    for path in filter(None, (out, json)):
        if path.is_dir():
            raise InvalidInputError(f"'{path}' is a folder; give the name of a file to write.")
    query = read_image(image)
    values = read_recipe(image)
    recipe = None
    if values is not None:
        try:
            recipe = Recipe.from_dict(values)
        except InvalidInputError as error:
            typer.echo(f"note: the recipe in '{image.name}' is ignored: {error}", err=True)
    opened = Collection.open(collection or Settings().collection, method)
    result = Attributor(opened, device=device).attribute(query, top=top, temperature=temperature)
    content = make_report(query, result, opened, title=recipe.prompt if recipe else image.stem, recipe=recipe)
    files = {out: report_page(content), **({json: content.to_json()} if json else {})}
    for path, text in files.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        typer.echo(f"{path}: {path.stat().st_size / 1000:,.0f} kB")
