"""The commands `index` and `remove`: a collection of your own images, and what comes to it or goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from attribution_core.collection.build import IndexReport

NAMED = 20
"""So many skipped images are named on the screen; all of them in skipped.json."""


def index(
    images: Annotated[
        str,
        typer.Argument(
            help="A folder, Parquet files, WebDataset tar shards "
            "('x/{00..31}.tar'), or the name of a Hugging Face data set."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Collection folder to write.")],
    add: Annotated[bool, typer.Option("--add", help="Add to the collection in --out.")] = False,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="See the command 'encoders'; default: efficientnet-lite0, or "
            "that of the collection that is added to."
        ),
    ] = None,
    mappers: Annotated[Path | None, typer.Option(help="Folder of a mapper pair; default: none.")] = None,
    factory: Annotated[str | None, typer.Option(help="Flat or SQfp16; default: Flat.")] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="In place of --factory: milvus://HOST:PORT, or milvus:FILE.db for a file in the collection."
        ),
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="CSV, Parquet or JSON lines: file,caption,creator,licence,link.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Its column that names the images; default: file, file_name, id or key."),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Other names of columns, such as creator=artist,caption=TEXT.")
    ] = "",
    image_column: Annotated[str | None, typer.Option(help="Of a table; default: image.")] = None,
    split: Annotated[str | None, typer.Option(help="Of a data set; default: train.")] = None,
    config: Annotated[str | None, typer.Option(help="Of a data set that has several.")] = None,
    prefix: Annotated[
        str, typer.Option(help="Before each id, so that two folders' images do not share one.")
    ] = "",
    near_duplicates: Annotated[
        str | None, typer.Option(help="What counts as one work: 0 (equal) to 0.5, or off; default: 0.1.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="local, or ray: encode on a Ray cluster.")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Encoders at once on Ray; default: one a GPU, else one a machine.")
    ] = None,
) -> None:
    """Make a collection of your own images, or add to it; run it again after an interruption to go on."""
    from tqdm import tqdm

    from attribution_core.collection.build import Progress, build_collection
    from attribution_core.collection.sources.item import Columns
    from attribution_core.corpus.near_duplicates import THRESHOLD
    from attribution_core.errors import CheckpointError, InvalidInputError

    try:
        threshold = None if near_duplicates == "off" else float(near_duplicates or THRESHOLD)
    except ValueError as error:
        raise InvalidInputError(
            f"--near-duplicates is '{near_duplicates}', expected 0 to 0.5, or off."
        ) from error
    kept = {
        "--mappers": mappers,
        "--factory": factory,
        "--store": store,
        "--near-duplicates": near_duplicates,
    }
    for option in (name for name, given in kept.items() if add and given is not None):
        raise CheckpointError(f"a collection that is added to keeps its own; leave {option} away with --add.")
    # A rate smoothed over many shards, so that the time that is left holds.
    bar = tqdm(unit="image", disable=not sys.stderr.isatty(), smoothing=0.1, dynamic_ncols=True)

    done = 0

    def on_progress(progress: Progress) -> None:
        nonlocal done
        if not done and progress.done:
            bar.initial = bar.n = progress.resumed  # of an earlier run: no part of this one's rate
        done = progress.done
        bar.total = progress.total
        bar.update(progress.done - bar.n)

    try:
        with bar:
            report = build_collection(
                images,
                out,
                encoder=encoder,
                mappers=mappers,
                factory=chosen(factory, store, "Flat"),
                metadata=metadata,
                device=device,
                on_progress=on_progress,
                add=add,
                near_duplicates=threshold,
                columns=Columns.parse(columns),
                key=key,
                split=split,
                config=config,
                image_column=image_column,
                prefix=prefix,
                engine=engine,
                workers=workers,
            )
    except KeyboardInterrupt:
        before = " the collection is as it was, and" if add else ""
        typer.echo(f"stopped; {done:,} images are done,{before} the same command goes on there", err=True)
        raise typer.Exit(130) from None
    _tell(report, out, metadata is not None, add)


def chosen(factory: str | None, store: str | None, default: str) -> str:
    """The factory that two options tell. Raises `InvalidInputError` where both are given, or the store is none."""
    from attribution_core.errors import InvalidInputError
    from attribution_core.retrieval.backends import BACKENDS, check_factory

    if factory is not None and store is not None:
        raise InvalidInputError(
            f"--factory {factory} keeps features in the collection, --store in Milvus; give one of the two."
        )
    if store is None:
        return factory or default
    if ":" not in store or store.partition(":")[0] not in BACKENDS:
        raise InvalidInputError(
            f"--store '{store}' is no address; expected milvus://HOST:PORT, or milvus:FILE.db for a file."
        )
    return check_factory(store)


def _tell(report: IndexReport, out: Path, joined: bool, add: bool) -> None:
    for skipped in (*report.skipped[:NAMED], *report.notes[:NAMED]):
        typer.echo(
            f"{'skipped' if skipped in report.skipped else 'note:'} {skipped.file}: {skipped.reason}",
            err=True,
        )
    if len(report.skipped) > NAMED:
        typer.echo(f"... and {len(report.skipped) - NAMED:,} more, all in {out / 'skipped.json'}", err=True)
    if joined and (report.unmatched_rows or report.unmatched_images):
        typer.echo(
            f"metadata: rows without an image that was read here: {len(report.unmatched_rows):,}, images "
            f"without a row: {len(report.unmatched_images):,}; {out / 'unmatched.json'} names them",
            err=True,
        )
    if report.notice:
        typer.echo(f"note: {report.notice}", err=True)
    words = f", {report.added:,} of them new" if add else ""
    if add and report.known:
        words += f", {report.known:,} were there already (same id; --prefix tells two folders apart)"
    typer.echo(f"{out}: {len(report.collection.index)} images{words}, {len(report.skipped)} skipped")
    if report.repeated:
        typer.echo(f"near-duplicates of another image, credited as one work with it: {report.repeated:,}")
    typer.echo(f"open it with: python app.py --collection {out}")


def remove(
    collection: Annotated[Path, typer.Argument(help="A collection that 'index' made.")],
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of images, as 'attribute --json' lists them.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A text file of more ids, one a line.")] = None,
) -> None:
    """Take images out of a collection of your own; nothing is encoded again."""
    from attribution_core.collection.editions import remove_images
    from attribution_core.errors import InvalidInputError

    every = list(ids or [])
    if file is not None:
        try:
            every += [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(
                f"'{file}' cannot be read ({error}); give text with one id a line."
            ) from error
    done = remove_images(collection, every)
    typer.echo(f"{collection}: {done.images} removed, {len(done.collection.index)} images left")
