"""The commands `index` and `remove`: build a collection of your own images, add to it, remove from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution_core.common.text import one_line

if TYPE_CHECKING:
    from attribution_core.collection.build_report import IndexReport, Skipped

FACTORIES = "Flat, SQfp16, SQ8x2, IVF or auto: SQ8x2 for up to 200,000 images, else IVF; default: auto."
NAMED = 20
"""How many skipped images are named on the screen; skipped.json names all."""
NAMED_ENTRIES = 5
"""How many entries of opt-out lists that name no image are named; unmatched_opt_outs.json names all."""


def index(
    images: Annotated[
        str,
        typer.Argument(
            help="A folder, a ZIP file, Parquet files, WebDataset tar shards "
            "('x/{00..31}.tar'), or the name of a Hugging Face data set."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Collection folder to write.")],
    add: Annotated[bool, typer.Option("--add", help="Add to the collection in --out.")] = False,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="See the command 'encoders'; default: efficientnet-lite0, or the collection's own with --add."
        ),
    ] = None,
    mappers: Annotated[Path | None, typer.Option(help="Folder of a mapper pair; default: none.")] = None,
    factory: Annotated[str | None, typer.Option(help=FACTORIES)] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Instead of --factory: milvus://HOST:PORT, or milvus:FILE.db for a file in the collection."
        ),
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="CSV, Parquet or JSON lines: file,caption,creator,licence,link.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Metadata column with image names; default: file, file_name, filename, path, id or key."
        ),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Names of your columns, such as creator=artist,caption=TEXT.")
    ] = "",
    image_column: Annotated[
        str | None, typer.Option(help="Image column of a table; default: image, else one of that type.")
    ] = None,
    read_as: Annotated[
        str | None,
        typer.Option("--as", help="How to read a folder: as folder (of images), parquet or tar."),
    ] = None,
    id_from_file: Annotated[
        bool,
        typer.Option(
            "--id-from-file", help="Prefix ids with their Parquet file's name, if ids restart in every file."
        ),
    ] = False,
    split: Annotated[str | None, typer.Option(help="Split of a data set; default: train.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration of a data set that has several.")] = None,
    prefix: Annotated[
        str, typer.Option(help="Prefix of all ids, to keep ids of several folders apart.")
    ] = "",
    near_duplicates: Annotated[
        str | None,
        typer.Option(help="Threshold for near-duplicates: 0 (identical) to 0.5, or off; default: 0.1."),
    ] = None,
    copy_encoder: Annotated[
        str | None,
        typer.Option(
            help="What tells copies: pocket-sscd (for drawings) or sscd (for photographs); default: none."
        ),
    ] = None,
    opt_out: Annotated[
        list[Path] | None,
        typer.Option(
            "--opt-out",
            help="List of images that must not be trained on: ids, links, domain:, maker: or phash: lines, or a table; "
            "may be given again; --add applies those of earlier calls, too.",
        ),
    ] = None,
    opt_out_policy: Annotated[
        str, typer.Option(help="For images whose owners opted out: skip, or mark.")
    ] = "skip",
    even_if_opted_out: Annotated[
        bool,
        typer.Option(
            "--even-if-opted-out", help="With --add: add images that opted out or were left out, with a mark."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="local, or ray: encode on a Ray cluster.")] = "local",
    workers: Annotated[
        int | None,
        typer.Option(help="Parallel encoders on Ray; default: one per GPU, or else one per machine."),
    ] = None,
) -> None:
    """Build a collection of your own images, or add to it; run again after an interruption to resume."""
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.build import (
        ENCODING,
        Engine,
        IndexOptions,
        OptOutOptions,
        SourceOptions,
        build_collection,
    )
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
    fixed = {
        "--mappers": mappers,
        "--factory": factory,
        "--store": store,
        "--near-duplicates": near_duplicates,
        "--copy-encoder": copy_encoder,
    }
    for option in (name for name, value in fixed.items() if add and value is not None):
        raise CheckpointError(f"{option} cannot be changed with --add; the collection keeps its own.")
    done = 0

    try:
        with progress_bar("image") as show:

            def on_progress(step: Progress) -> None:
                nonlocal done
                done = step.done if step.stage == ENCODING else done
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
                index=IndexOptions(factory_or_store(factory, store), threshold, copy_encoder),
                engine=Engine(engine, workers),
                opt_outs=OptOutOptions(opt_out or (), opt_out_policy, even_if_opted_out),
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        unchanged = " and the collection is unchanged" if add else ""
        typer.echo(
            f"interrupted; {done:,} images are done{unchanged}; run the same command again to resume",
            err=True,
        )
        raise typer.Exit(130) from None
    _print_report(report, out, metadata is not None, add)


def factory_or_store(factory: str | None, store: str | None) -> str:
    """Return the factory for --factory or --store. Raises `InvalidInputError` for both, or for an invalid store."""
    from attribution_core.errors import InvalidInputError
    from attribution_core.retrieval.backends import AUTO, BACKENDS, check_factory

    if factory is not None and store is not None:
        raise InvalidInputError(
            f"--factory {factory} keeps features in the collection, --store in Milvus; give only one of them."
        )
    if store is None:
        return factory or AUTO
    if ":" not in store or store.partition(":")[0] not in BACKENDS:
        raise InvalidInputError(
            f"--store '{store}' is not a valid address; expected milvus://HOST:PORT, or milvus:FILE.db for a file."
        )
    return check_factory(store)


def _print_report(report: IndexReport, out: Path, joined: bool, add: bool) -> None:
    from attribution_core.collection.layout import OPTED_OUT

    for path, changed in report.earlier_lists.items():
        now = "; it has changed since, and counts as it is now" if changed else ""
        typer.echo(f"opt-out list given before, and applied again: {one_line(path)}{now}", err=True)
    if report.refused:
        typer.echo(f"left out before, and still so: {report.refused:,}, see {out / OPTED_OUT}", err=True)
    _print_files("skipped ", report.skipped, out / "skipped.json")
    _print_files("opted out: ", report.opted_out[report.refused :], out / OPTED_OUT)
    what = "no image, or only some that were left out before" if report.refused else "no image"
    _print_unmatched(report.unmatched_entries, report.entries, out, what)
    if report.listed:
        what = "1 listed image is" if report.listed == 1 else f"{report.listed:,} listed images are"
        them = "it" if report.listed == 1 else "them"
        typer.echo(f"{what} already in; take {them} out with `remove {out} --opt-out FILE`", err=True)
    _print_files("note: ", report.notes, None)
    _print_files("not read: ", report.unread, out / "unread.json")
    if joined and (report.unmatched_rows or report.unmatched_images):
        typer.echo(
            f"metadata: rows without an image: {len(report.unmatched_rows):,}, images without a row: "
            f"{len(report.unmatched_images):,}; see {out / 'unmatched.json'}",
            err=True,
        )
    if report.unnamed_rows:
        typer.echo(f"metadata: rows without an image name: {report.unnamed_rows:,}", err=True)
    if report.unused_columns:
        typer.echo(
            f"metadata: unused columns: {one_line(', '.join(report.unused_columns))}; "
            "use --columns creator=COLUMN to map one",
            err=True,
        )
    if report.notice:
        typer.echo(f"note: {report.notice}", err=True)
    words = f", {report.added:,} of them new" if add else ""
    if add and report.known:
        words += f", {report.known:,} already present (same id; use --prefix to keep folders apart, "
        words += "--id-from-file for Parquet files)"
    typer.echo(f"{out}: {len(report.collection.index)} images{words}, {len(report.skipped)} skipped")
    if report.opted_out:
        typer.echo(f"left out, as their owners opted out: {len(report.opted_out):,}")
    if report.marked:
        typer.echo(f"in the collection and marked as opted out: {report.marked:,}")
    if report.repeated:
        typer.echo(f"near-duplicates of other images, credited as one work with them: {report.repeated:,}")
    typer.echo(f"open it with: python app.py --collection {out}")


def _print_files(word: str, files: Sequence[Skipped], listing: Path | None) -> None:
    """Print the first files with their reasons, and the number of others. listing: file that lists all."""
    for entry in files[:NAMED]:
        typer.echo(f"{word}{one_line(entry.file)}: {one_line(entry.reason)}", err=True)
    if len(files) > NAMED:
        where = f", all in {listing}" if listing else ""
        typer.echo(f"... and {len(files) - NAMED:,} more{where}", err=True)


def _print_unmatched(unmatched: Mapping[str, str], total: int, out: Path, what: str) -> None:
    """Print the first entries of opt-out lists that name no image. total: of all. what: what they name."""
    from attribution_core.collection.layout import UNMATCHED_ENTRIES

    if not unmatched:
        return
    words = [
        f"'{one_line(entry):.80}'" + (f" (did you mean `{one_line(hint):.80}`?)" if hint else "")
        for entry, hint in list(unmatched.items())[:NAMED_ENTRIES]
    ]
    rest = len(unmatched) - NAMED_ENTRIES
    more = f" and {rest:,} more, all in {out / UNMATCHED_ENTRIES}" if rest > 0 else ""
    verb = "names" if len(unmatched) == 1 else "name"
    count = f"{len(unmatched):,} of {total:,} entries of the opt-out lists {verb} {what}"
    typer.echo(f"{count}: {', '.join(words)}{more}", err=True)


def remove(
    collection: Annotated[Path, typer.Argument(help="A collection built by 'index'.")],
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of images, as listed by 'attribute --json'.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A text file with more ids, one per line.")] = None,
    opt_out: Annotated[
        list[Path] | None,
        typer.Option(
            "--opt-out", help="List as for 'index'; what it names is removed, and left out from now on."
        ),
    ] = None,
) -> None:
    """Remove images from a collection of your own, without encoding the others again."""
    from attribution_core.collection.editions import remove_images
    from attribution_core.common.text_files import read_lines

    all_ids = [*(ids or ()), *([] if file is None else read_lines(file, "the ids"))]
    done = remove_images(collection, all_ids, opt_outs=opt_out or ())
    for name, reason in list(done.opted_out.items())[:NAMED]:
        typer.echo(f"opted out: {one_line(name)}: {one_line(reason)}", err=True)
    _print_unmatched(done.unmatched_entries, done.entries, collection, "no image of the collection")
    typer.echo(f"{collection}: {done.images} removed, {len(done.collection.index)} images left")
    if all_ids:
        typer.echo(
            "images removed by id come back if their folder is added again; to keep them out, name them in a list for "
            f"`remove {collection} --opt-out FILE`",
            err=True,
        )
    if done.images:
        typer.echo("a model that was trained on a removed image has still learned from it", err=True)
