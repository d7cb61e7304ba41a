"""The command `report`: one attributed image as a file to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    image: Annotated[
        Path, typer.Argument(help="The generated image; a PNG that was made here brings its recipe.")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Another of the collection's methods.")] = None,
    top: Annotated[
        int, typer.Option(help="Training images to list; the first 12 are shown with a picture.")
    ] = 50,
    temperature: Annotated[float | None, typer.Option(help="In place of the fitted one.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the same as JSON, too.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Attribute IMAGE and write everything that is known of it as one HTML file without scripts or links to load."""
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
    known = None
    if values is not None:
        try:
            known = Recipe.from_dict(values)
        except InvalidInputError as error:
            typer.echo(f"note: the recipe in '{image.name}' is left aside: {error}", err=True)
    opened = Collection.open(collection or Settings().collection, method)
    result = Attributor(opened, device=device).attribute(query, top=top, temperature=temperature)
    told = make_report(query, result, opened, title=known.prompt if known else image.stem, recipe=known)
    files = {out: report_page(told), **({json: told.to_json()} if json else {})}
    for path, text in files.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        typer.echo(f"{path}: {path.stat().st_size / 1000:,.0f} kB")
