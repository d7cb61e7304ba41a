"""The command `attribute`: the training images behind one image, or behind each of many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution_core.cli.options import AsJson, Collections, Device, SaidSo
from attribution_core.common.text import one_line

if TYPE_CHECKING:
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.attribution.works import Work
    from attribution_core.credentials.read import Credentials
    from attribution_core.reports.batch.attribute import BatchOptions
    from attribution_core.retrieval.rest import RestKind

NAMED = 20
"""How many files that were left out are named on the screen; the tables name all."""


def attribute(
    image: Annotated[
        str,
        typer.Argument(
            help="The generated image: PNG, JPEG, WebP, ... With --out, many: a folder, a ZIP file, tar shards, "
            "Parquet files, or the name of a Hugging Face data set."
        ),
    ],
    collection: Collections = None,
    top: Annotated[int, typer.Option(help="Number of training images to list.")] = 10,
    temperature: Annotated[float | None, typer.Option(help="Use instead of the fitted temperature.")] = None,
    method: Annotated[str | None, typer.Option(help="Method of the collection; default: its own.")] = None,
    device: Device = "auto",
    said_so: SaidSo = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the tables and the page of many images; run again to resume."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="With --out: split of a data set; default: train.")
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="With --out: image column of a data set or of Parquet files.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the training images that most likely influenced IMAGE, with calibrated shares and credits."""
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.collection.collection import Collection
    from attribution_core.common.arrays import whole
    from attribution_core.errors import InvalidInputError
    from attribution_core.reports.batch.attribute import BatchOptions
    from attribution_core.settings import Settings

    top = whole("top", top, 1)
    if out is None and (split or image_column):
        raise InvalidInputError("--split and --image-column are of many images; give --out, too.")
    if out is None and Path(image).is_dir():
        raise InvalidInputError(f"'{image}' is a folder; give --out DIR to attribute each image in it.")
    opened = Collection.open(collection or Settings().collection, method)
    attributor = Attributor(opened, device=device)
    if out is not None:
        options = BatchOptions(max(top, Settings().top), top, temperature, said_so)
        _many(image, out, split, image_column, attributor, options, as_json=as_json)
        return
    _one(Path(image), attributor, top, temperature, said_so=said_so, as_json=as_json)


def _one(
    image: Path, attributor: Attributor, top: int, temperature: float | None, *, said_so: bool, as_json: bool
) -> None:
    import json

    from attribution_core.attribution.finding import LISTED
    from attribution_core.attribution.origin import made_by
    from attribution_core.cli.recipes import recipe_of
    from attribution_core.common.images import read_image
    from attribution_core.credentials.c2pa import read_trust
    from attribution_core.credentials.read import read_credentials
    from attribution_core.reports.as_dict import credentials_dict
    from attribution_core.reports.wording.attribution import near_duplicates_words
    from attribution_core.reports.wording.headline import headline
    from attribution_core.reports.wording.origin import ORIGIN
    from attribution_core.settings import Settings

    trust = read_trust(Settings().c2pa_trust)
    query = read_image(image)
    origin = made_by(recipe_of(image), attributor.collection, said_so=said_so)
    # The headline looks at as many images as in the app, however few are listed.
    every = attributor.attribute(query, max(top, LISTED), temperature, made_by=origin)
    result = every.head(top)
    credentials = read_credentials(image, trust)
    if as_json:
        told = {**result.to_dict(), "credentials": credentials_dict(credentials)}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False))
        return
    typer.echo(one_line(f"{headline(every)}."))
    typer.echo(ORIGIN[origin])
    intervals = [_interval(work, result.kind) for work in result.works]
    if not all(intervals):
        typer.echo(
            "Where no interval is given, the influence is exact to the digits shown: every training image was compared."
        )
    width = max(len(interval) for interval in intervals)
    column = f"{'(interval)':{width}}  " if width else ""
    typer.echo(f"rank  influence  {column}similarity  caption; creator, licence")
    for work, interval in zip(result.works, intervals, strict=True):
        first = work.places[0]
        credit, copies = result.credits[first], near_duplicates_words(work)
        words = (
            f"{credit.caption or credit.id}; {credit.creator or 'unknown'}, "
            f"{credit.licence or 'licence unknown'}{f' ({copies})' if copies else ''}"
            f"{f'; opted out ({credit.opted_out})' if credit.opted_out else ''}"
        )
        typer.echo(
            f"{first + 1:4d}  {work.influence:9.3%}  {f'{interval:{width}}  ' if width else ''}"
            f"{result.similarity[first]:10.3f}  {one_line(words)}"
        )
    typer.echo(f"      {result.rest:9.3%}  all {result.n_training - len(result):,} other training images")
    _print_credentials(credentials)


def _print_credentials(credentials: Credentials) -> None:
    """Print what the file says of itself, if anything."""
    from attribution_core.reports.wording.credentials import SAYS, UNPROVEN, credentials_words

    if credentials:
        typer.echo(f"{SAYS}:")
        for what, value in credentials_words(credentials):
            typer.echo(f"  {what}: {value}")
        typer.echo(f"  {UNPROVEN}")


def _interval(work: Work, kind: RestKind) -> str:
    """A work's interval in brackets; "" where it is certain and its ends read the same."""
    low, high = f"{work.low:.3%}", f"{work.high:.3%}"
    return "" if kind == "exact" and low == high else f"({low} to {high})"


def _many(
    images: str,
    out: Path,
    split: str | None,
    image_column: str | None,
    attributor: Attributor,
    options: BatchOptions,
    *,
    as_json: bool,
) -> None:
    import json

    from attribution_core.analyses.memorization.verdict import Memorization
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.sources.open import open_source
    from attribution_core.collection.sources.options import SourceOptions
    from attribution_core.reports.batch.folder import run_batch

    source = open_source(images, SourceOptions(split=split, image_column=image_column), out)
    checker = Memorization(attributor.collection, attributor.device)
    with progress_bar("image") as show:
        run = run_batch(source, out, attributor, checker if checker.is_quick else None, options, show)
    summary = run.summary
    left_out = [(row.name, row.problem) for row in summary.rows if row.problem] + list(summary.unread)
    for name, reason in left_out[:NAMED]:
        typer.echo(f"not attributed: {one_line(f'{name}: {reason}')}", err=True)
    if len(left_out) > NAMED:
        typer.echo(f"... and {len(left_out) - NAMED:,} more, all in {out / 'images.csv'}", err=True)
    for count, words in (
        (run.kept, "unchanged since an earlier run, and taken from it"),
        (run.changed, "changed since an earlier run, and attributed again"),
        (run.gone, "of an earlier run no longer there, and left out"),
    ):
        if count:
            typer.echo(f"images {words}: {count:,}", err=True)
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2, ensure_ascii=False))
        return
    typer.echo(one_line(summary.sentence))
    if summary.copy_how:
        typer.echo(one_line(summary.copy_how))
    if summary.makers:
        typer.echo("  sum of shares  maker")
    for maker in summary.makers[:NAMED]:
        typer.echo(f"{maker.influence:15.3f}  {one_line(maker.name)}")
    if len(summary.makers) > NAMED:
        typer.echo(f"... and {len(summary.makers) - NAMED:,} more, all in {out / 'makers.csv'}")
    typer.echo(summary.sum_means)
    typer.echo(
        f"open {out / 'index.html'}; tables: {', '.join(sorted(p.name for p in out.glob('*.[cj]s*')))}"
    )
