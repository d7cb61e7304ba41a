"""The command `report`: write the attribution of an image as a self-contained file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution_core.cli.options import SaidSo


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
    json_ld: Annotated[Path | None, typer.Option(help="JSON-LD file of schema.org to write as well.")] = None,
    card: Annotated[Path | None, typer.Option(help="PNG of 1200 x 630 px to share, written as well.")] = None,
    address: Annotated[str, typer.Option(help="Web address of the result, printed on the card.")] = "",
    said_so: SaidSo = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Attribute IMAGE and write one HTML file, without scripts or external resources, with all results."""
    from attribution_core.analyses.memorization.verdict import Memorization
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.attribution.origin import made_by
    from attribution_core.cli.recipes import recipe_of
    from attribution_core.collection.collection import Collection
    from attribution_core.common.files import atomic_path
    from attribution_core.common.images import png_bytes, read_image
    from attribution_core.credentials.iptc import COMPOSITE
    from attribution_core.errors import InvalidInputError
    from attribution_core.reports.card import share_card
    from attribution_core.reports.html import report_page
    from attribution_core.reports.json_ld import report_json_ld
    from attribution_core.reports.report import make_report
    from attribution_core.settings import Settings

    for path in filter(None, (out, json, json_ld, card)):
        if path.is_dir():
            raise InvalidInputError(f"'{path}' is a folder; give the name of a file to write.")
    query = read_image(image)
    recipe = recipe_of(image)
    title = recipe.prompt if recipe else image.stem
    opened = Collection.open(collection or Settings().collection, method)
    origin = made_by(recipe, opened, said_so=said_so)
    attributor = Attributor(opened, device=device)
    result = attributor.attribute(query, top=top, temperature=temperature, made_by=origin)
    checker = Memorization(opened, device)
    copy = checker.check(query) if checker.is_quick else None
    made = make_report(query, result, opened, title=title, recipe=recipe, copy=copy)
    files = {out: report_page(made).encode()}
    if json:
        files[json] = made.to_json().encode()
    if json_ld:
        files[json_ld] = report_json_ld(made).encode()
    if card:
        picture = share_card(query, result, opened.corpus, title=title, address=address)
        files[card] = png_bytes(picture, xmp=recipe.metadata(source_type=COMPOSITE).xmp() if recipe else b"")
    for path, data in files.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
        typer.echo(f"{path}: {path.stat().st_size / 1000:,.0f} kB")
