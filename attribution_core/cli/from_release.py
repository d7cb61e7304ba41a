"""The command `from-release`: build a collection from the paper's released files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution_core.cli.index import FACTORIES, factory_or_store


def from_release(
    encoder: Annotated[
        str, typer.Argument(help="clip, dino, moco, vit or sscd; or, with --features, any encoder's name.")
    ],
    out: Annotated[Path, typer.Option(help="Collection folder to write.")],
    release: Annotated[
        Path | None, typer.Option(help="Folder of the downloads, if not the default one.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="A feats/ENCODER/laion_subset.pth to use instead of the downloads.")
    ] = None,
    mappers: Annotated[Path | None, typer.Option(help="With --features: a released mapper .pth.")] = None,
    calibrator: Annotated[
        Path | None, typer.Option(help="With --features: a released calibrator .pth.")
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(help=".txt with one line per image; or CSV or Parquet: file,caption,link,licence."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, which is linked to, not copied.")
    ] = None,
    factory: Annotated[str | None, typer.Option(help=FACTORIES)] = None,
    store: Annotated[
        str | None, typer.Option(help="Instead of --factory: milvus://HOST:PORT, or milvus:FILE.db.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the collection in the app.")] = "LAION subset",
) -> None:
    """Build a collection for the app from released features, mappers, calibrator and captions."""
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.collection import Collection
    from attribution_core.collection.from_release import find_release, row_of
    from attribution_core.errors import InvalidInputError
    from attribution_core.scoring.calibrator import USUAL_TEMPERATURE

    if features is None:
        if mappers or calibrator:
            raise InvalidInputError(
                "--mappers and --calibrator require --features; the downloads include their own."
            )
        parts = find_release(encoder, release)
        features, mappers, calibrator = parts.features, parts.mappers, parts.calibrator
        captions = captions or parts.captions
    with progress_bar("image") as show:
        collection = Collection.from_release(
            out,
            features=features,
            encoder=row_of(encoder),
            mappers=mappers,
            calibrator=calibrator,
            captions=captions,
            images=images,
            factory=factory_or_store(factory, store),
            name=name,
            on_progress=show,
        )
    if captions is None:
        typer.echo("note: without --captions, images are labelled with their file names.", err=True)
    if not collection.calibrator.is_fitted:
        typer.echo(
            f"note: without a calibrator, 'attribute' needs a temperature: --temperature {USUAL_TEMPERATURE}, say.",
            err=True,
        )
    typer.echo(f"{out}: {len(collection.index):,} images")
    typer.echo(f"open it with: python app.py --collection {out}")
