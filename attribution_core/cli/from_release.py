"""The command `from-release`: a collection from the paper's released files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def from_release(
    encoder: Annotated[
        str, typer.Argument(help="clip, dino, moco, vit or sscd; or a row's name and --features.")
    ],
    out: Annotated[Path, typer.Option(help="Collection folder to write.")],
    release: Annotated[
        Path | None, typer.Option(help="Folder of the downloads, if not the usual one.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="A feats/ENCODER/laion_subset.pth, in place of the downloads.")
    ] = None,
    mappers: Annotated[Path | None, typer.Option(help="Beside --features: a released mapper .pth.")] = None,
    calibrator: Annotated[
        Path | None, typer.Option(help="Beside --features: a released calibrator .pth.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help=".txt, a line an image; or CSV or Parquet: file,caption,link,licence.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; only linked to, not copied.")
    ] = None,
    factory: Annotated[str | None, typer.Option(help="Flat or SQfp16; default: SQfp16.")] = None,
    store: Annotated[
        str | None, typer.Option(help="In place of --factory: milvus://HOST:PORT, or milvus:FILE.db.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the app calls it.")] = "LAION subset",
) -> None:
    """Make a collection that the app opens from released features, mappers, calibrator and captions."""
    from attribution_core.cli.index import chosen
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.collection import Collection
    from attribution_core.collection.from_release import find_release, row_of
    from attribution_core.errors import InvalidInputError

    if features is None:
        if mappers or calibrator:
            raise InvalidInputError(
                "--mappers and --calibrator go with --features; the downloads bring their own."
            )
        found = find_release(encoder, release)
        features, mappers, calibrator = found.features, found.mappers, found.calibrator
        captions = captions or found.captions
    with progress_bar("image") as show:
        made = Collection.from_release(
            out,
            features=features,
            encoder=row_of(encoder),
            mappers=mappers,
            calibrator=calibrator,
            captions=captions,
            images=images,
            factory=chosen(factory, store, "SQfp16"),
            name=name,
            on_progress=show,
        )
    if captions is None:
        typer.echo(
            "note: without captions, images are called by their file names; give --captions.", err=True
        )
    if not made.calibrator.is_fitted:
        typer.echo("note: without a calibrator, attribute with --temperature.", err=True)
    typer.echo(f"{out}: {len(made.index):,} images")
    typer.echo(f"open it with: python app.py --collection {out}")
