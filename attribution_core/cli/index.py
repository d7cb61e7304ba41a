"""The commands `index` and `remove`: build a collection of your own images, add to it, remove from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution_core.common.text import one_line

if TYPE_CHECKING:
    from attribution_core.collection.build_report import IndexReport, Skipped

NAMED = 20
"""How many skipped images are named on the screen; skipped.json names all."""


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
        typer.Option(
            help="Its column that names the images; default: file, file_name, filename, path, id or key."
        ),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Other names of columns, such as creator=artist,caption=TEXT.")
    ] = "",
    image_column: Annotated[
        str | None, typer.Option(help="Of a table; default: image, else one of that type.")
    ] = None,
    read_as: Annotated[
        str | None,
        typer.Option("--as", help="What a folder is read as: folder (of images), parquet or tar."),
    ] = None,
    id_from_file: Annotated[
        bool,
        typer.Option(
            "--id-from-file", help="The Parquet file's name before each id, where ids restart in every file."
        ),
    ] = False,
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
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.build import Engine, IndexOptions, SourceOptions, build_collection
    from attribution_core.collection.sources.item import Columns
    from attribution_core.common.progress import Progress
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
    done = 0

    try:
        with progress_bar("image") as show:

            def on_progress(step: Progress) -> None:
                nonlocal done
                done = step.done
                show(step)

            report = build_collection(
                images,
                out,
                encoder=encoder,
                mappers=mappers,
                add=add,
                device=device,
                source=SourceOptions(
                    split=split,
                    config=config,
                    image_column=image_column,
                    columns=Columns.parse(columns),
                    metadata=metadata,
                    key=key,
                    prefix=prefix,
                    read_as=read_as,
                    id_from_file=id_from_file,
                ),
                index=IndexOptions(chosen(factory, store, "Flat"), threshold),
                engine=Engine(engine, workers),
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        before = " the collection is as it was, and" if add else ""
        typer.echo(f"stopped; {done:,} images are done,{before} the same command goes on there", err=True)
        raise typer.Exit(130) from None
    _tell(report, out, metadata is not None, add)


def chosen(factory: str | None, store: str | None, default: str) -> str:
    """Return the factory that two options name. Raises `InvalidInputError` if both are given or one is not valid."""
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
            f"--store '{store}' is not a valid address; expected milvus://HOST:PORT, or milvus:FILE.db for a file."
        )
    return check_factory(store)


def _tell(report: IndexReport, out: Path, joined: bool, add: bool) -> None:
    _name("skipped ", report.skipped, out / "skipped.json")
    _name("note: ", report.notes, None)
    _name("not read: ", report.unread, out / "unread.json")
    if joined and (report.unmatched_rows or report.unmatched_images):
        typer.echo(
            f"metadata: rows without an image that was read here: {len(report.unmatched_rows):,}, images "
            f"without a row: {len(report.unmatched_images):,}; {out / 'unmatched.json'} names them",
            err=True,
        )
    if report.unnamed_rows:
        typer.echo(f"metadata: rows that name no image: {report.unnamed_rows:,}", err=True)
    if report.unused_columns:
        typer.echo(
            f"metadata: columns that are not used: {one_line(', '.join(report.unused_columns))}; "
            "--columns creator=COLUMN takes one",
            err=True,
        )
    if report.notice:
        typer.echo(f"note: {report.notice}", err=True)
    words = f", {report.added:,} of them new" if add else ""
    if add and report.known:
        words += f", {report.known:,} were there already (same id; --prefix tells two folders apart, "
        words += "--id-from-file two Parquet files)"
    typer.echo(f"{out}: {len(report.collection.index)} images{words}, {len(report.skipped)} skipped")
    if report.repeated:
        typer.echo(f"near-duplicates of another image, credited as one work with it: {report.repeated:,}")
    typer.echo(f"open it with: python app.py --collection {out}")


def _name(word: str, files: Sequence[Skipped], listed: Path | None) -> None:
    """Print the first files with their reasons, and how many more there are. listed: the file that lists them all."""
    for entry in files[:NAMED]:
        typer.echo(f"{word}{one_line(entry.file)}: {one_line(entry.reason)}", err=True)
    if len(files) > NAMED:
        where = f", all in {listed}" if listed else ""
        typer.echo(f"... and {len(files) - NAMED:,} more{where}", err=True)


def remove(
    collection: Annotated[Path, typer.Argument(help="A collection that 'index' made.")],
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of images, as 'attribute --json' lists them.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A text file of more ids, one a line.")] = None,
) -> None:
    """Take images out of a collection of your own; nothing is encoded again."""
    from attribution_core.collection.editions import remove_images
    from attribution_core.common.text_files import read_lines

    every = [*(ids or ()), *([] if file is None else read_lines(file, "the ids"))]
    done = remove_images(collection, every)
    typer.echo(f"{collection}: {done.images} removed, {len(done.collection.index)} images left")
