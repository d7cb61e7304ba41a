"""Commands of `python -m attribution_core`; an error prints one line on stderr and exits with code 2."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution_core.cli.artwork import artwork
from attribution_core.cli.calibrate import calibrate
from attribution_core.cli.check_model import check_model
from attribution_core.cli.customize import customize
from attribution_core.cli.download import download
from attribution_core.cli.evaluate import evaluate
from attribution_core.cli.from_release import from_release
from attribution_core.cli.generate import generate
from attribution_core.cli.index import index, remove
from attribution_core.cli.memorization import memorization
from attribution_core.cli.options import Device, SaidSo
from attribution_core.cli.report import report
from attribution_core.cli.second_opinion import second_opinion
from attribution_core.cli.streams import printable_streams
from attribution_core.cli.train_mappers import train_mappers
from attribution_core.common.text import message_of, one_line
from attribution_core.errors import AttributionError
from attribution_core.settings import Settings

if TYPE_CHECKING:
    from attribution_core.attribution.works import Work
    from attribution_core.retrieval.rest import RestKind

app = typer.Typer(
    help="Estimated influence of training images on a generated image.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Collections = Annotated[Path | None, typer.Option(help="Collection folder; default: the pocket collection.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")]


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Print expected errors as one line on stderr and exit with code 2."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except AttributionError as error:
            typer.echo(f"error: {one_line(message_of(error))}", err=True)
            raise typer.Exit(2) from error
        except OSError as error:  # such as a full or read-only disk, where no other code has caught it
            where = f"'{error.filename}': " if error.filename is not None else ""
            typer.echo(f"error: {one_line(where + (error.strerror or str(error)))}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            typer.echo("interrupted; run the same command again to resume", err=True)
            raise typer.Exit(130) from None

    return wrapped


@app.command()
@one_line_errors
def attribute(
    image: Annotated[Path, typer.Argument(help="The generated image: PNG, JPEG, WebP, ...")],
    collection: Collections = None,
    top: Annotated[int, typer.Option(help="Number of training images to list.")] = 10,
    temperature: Annotated[float | None, typer.Option(help="Use instead of the fitted temperature.")] = None,
    method: Annotated[str | None, typer.Option(help="Method of the collection; default: its own.")] = None,
    device: Device = "auto",
    said_so: SaidSo = False,
    as_json: AsJson = False,
) -> None:
    """List the training images that most likely influenced IMAGE, with calibrated shares and credits."""
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.attribution.finding import LISTED
    from attribution_core.attribution.origin import made_by
    from attribution_core.cli.recipes import recipe_of
    from attribution_core.collection.collection import Collection
    from attribution_core.common.arrays import whole
    from attribution_core.common.images import read_image
    from attribution_core.reports.wording.attribution import near_duplicates_words
    from attribution_core.reports.wording.headline import headline
    from attribution_core.reports.wording.origin import ORIGIN

    top = whole("top", top, 1)
    opened = Collection.open(collection or Settings().collection, method)
    query = read_image(image)
    origin = made_by(recipe_of(image), opened, said_so=said_so)
    # The headline looks at as many images as in the app, however few are listed.
    every = Attributor(opened, device=device).attribute(query, max(top, LISTED), temperature, made_by=origin)
    result = every.head(top)
    if as_json:
        typer.echo(result.to_json())
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
        )
        typer.echo(
            f"{first + 1:4d}  {work.influence:9.3%}  {f'{interval:{width}}  ' if width else ''}"
            f"{result.similarity[first]:10.3f}  {one_line(words)}"
        )
    typer.echo(f"      {result.rest:9.3%}  all {result.n_training - len(result):,} other training images")


def _interval(work: Work, kind: RestKind) -> str:
    """A work's interval in brackets; "" where it is certain and its ends read the same."""
    low, high = f"{work.low:.3%}", f"{work.high:.3%}"
    return "" if kind == "exact" and low == high else f"({low} to {high})"


@app.command()
@one_line_errors
def encoders(as_json: AsJson = False) -> None:
    """List the encoders: name, dimension, input size, licence, and whether the weights are bundled."""
    from attribution_core.encoding.encoders import ENCODERS

    rows = [
        {
            "name": s.name,
            "dim": s.dim,
            "input_size": s.input_size,
            "licence": s.licence or "none stated",
            "ships": s.offline,
            "by_hand": s.by_hand,
            "paper": s.paper,
        }
        for s in ENCODERS.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"{'name':20s}{'dim':>6s}{'input':>7s}  {'licence':16s}{'weights':22s}paper")
    for row in rows:
        weights = (
            "in the repository"
            if row["ships"]
            else "'download NAME'"
            if row["by_hand"]
            else "fetched on first use"
        )
        typer.echo(
            f"{row['name']:20s}{row['dim']:6d}{row['input_size']:7d}  {row['licence']:16s}{weights:22s}"
            f"{row['paper']}"
        )


@app.command()
@one_line_errors
def generators(as_json: AsJson = False) -> None:
    """List the named generators: source, licence, and default settings."""
    from attribution_core.generation.generator import Generator
    from attribution_core.generation.table import GENERATORS

    rows = [
        {
            "name": s.name,
            "hub": s.hub,
            "licence": s.licence,
            "gated": s.gated,
            "size": s.size,
            "steps": defaults.steps,
            "guidance": defaults.guidance,
            "safety_checker": s.safety_checker,
        }
        for s in GENERATORS.values()
        for defaults in [s.defaults or Generator.open(s.name).defaults]
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(
        f"{'name':16s}{'px':>5s}{'steps':>7s}{'guidance':>10s}  {'licence':32s}on the Hugging Face hub"
    )
    for row in rows:
        where = (
            f"{row['hub']}{' (log in there first)' if row['gated'] else ''}"
            if row["hub"]
            else "in the repository"
        )
        typer.echo(
            f"{row['name']:16s}{row['size']:5d}{row['steps']:7d}{row['guidance']:10g}  {row['licence']:32s}"
            f"{where}"
        )


app.command()(one_line_errors(artwork))
app.command()(one_line_errors(calibrate))
app.command()(one_line_errors(check_model))
app.command()(one_line_errors(customize))
app.command()(one_line_errors(download))
app.command()(one_line_errors(evaluate))
app.command()(one_line_errors(from_release))
app.command()(one_line_errors(generate))
app.command()(one_line_errors(index))
app.command()(one_line_errors(memorization))
app.command()(one_line_errors(remove))
app.command()(one_line_errors(report))
app.command()(one_line_errors(second_opinion))
app.command()(one_line_errors(train_mappers))


def main() -> None:
    """Run the command line, with the hub's telemetry off."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    printable_streams()
    app()
