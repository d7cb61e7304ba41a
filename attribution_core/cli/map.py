"""The command `map`: lay out a collection's training images in the plane."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def map_collection(
    collection: Annotated[Path, typer.Argument(help="A collection's folder.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same map.")] = 0,
) -> None:
    """Make the map of COLLECTION that the app shows, in place of an earlier one."""
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.collection import Collection
    from attribution_core.collection.training_map import make_map

    opened = Collection.open(collection)
    with progress_bar("image") as show:
        made = make_map(opened, seed, show)
    typer.echo(f"{opened.layout.map}: {len(made):,} images, {made.points.nbytes / 1000:,.0f} kB")
