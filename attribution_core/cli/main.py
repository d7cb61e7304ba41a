"""Commands of `python -m attribution_core`; an error prints one line on stderr and exits with code 2."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from attribution_core.cli.artwork import artwork
from attribution_core.cli.attribute import attribute
from attribution_core.cli.calibrate import calibrate
from attribution_core.cli.check_model import check_model
from attribution_core.cli.customize import customize
from attribution_core.cli.download import download
from attribution_core.cli.evaluate import evaluate
from attribution_core.cli.export import export
from attribution_core.cli.from_release import from_release
from attribution_core.cli.generate import generate
from attribution_core.cli.index import index, remove
from attribution_core.cli.map import map_collection
from attribution_core.cli.memorization import memorization
from attribution_core.cli.options import AsJson
from attribution_core.cli.report import report
from attribution_core.cli.second_opinion import second_opinion
from attribution_core.cli.streams import printable_streams
from attribution_core.cli.train_mappers import train_mappers
from attribution_core.common.text import message_of, one_line
from attribution_core.errors import AttributionError

app = typer.Typer(
    help="Estimated influence of training images on a generated image.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


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
            reason = error.strerror or str(error)
            if error.filename is not None:
                reason = f"'{error.filename}' cannot be used ({reason}); fix this or choose another path."
            typer.echo(f"error: {one_line(reason)}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            typer.echo("interrupted; run the same command again to resume", err=True)
            raise typer.Exit(130) from None

    return wrapped


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
app.command()(one_line_errors(attribute))
app.command()(one_line_errors(calibrate))
app.command()(one_line_errors(check_model))
app.command()(one_line_errors(customize))
app.command()(one_line_errors(download))
app.command()(one_line_errors(evaluate))
app.command()(one_line_errors(export))
app.command()(one_line_errors(from_release))
app.command()(one_line_errors(generate))
app.command()(one_line_errors(index))
app.command("map")(one_line_errors(map_collection))
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
