"""The command `export`: describe a collection in a format that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    collection: Annotated[Path, typer.Argument(help="A collection's folder.")],
    kind: Annotated[
        str,
        typer.Option("--as", help="Required: croissant, datacard or training-summary.", show_default=False),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Required: file to write; for training-summary, .md or .html. Nothing is overwritten."
        ),
    ] = None,
) -> None:
    """Write a COLLECTION's description as Croissant, as a data card, or as a draft of a training summary."""
    from attribution_core.common.files import atomic_path
    from attribution_core.common.text import listing
    from attribution_core.errors import InvalidInputError, OutputError, unknown_name
    from attribution_core.reports.exports.facts import CollectionFacts
    from attribution_core.reports.exports.formats import EXPORTS, ExportAs

    endings = {str(of): [Path(file.name).suffix for file in files] for of, files in EXPORTS.items()}
    formats = listing(f"{of} ({' or '.join(ends)})" for of, ends in endings.items())
    if not kind or out is None:
        missing = listing(["--as FORMAT"] * (not kind) + ["--out FILE"] * (out is None))
        raise InvalidInputError(f"an export needs {missing}; the formats are {formats}.")
    if kind not in endings:
        raise unknown_name("format", kind, endings)
    if out.suffix.lower() not in endings[kind]:
        raise InvalidInputError(
            f"for --as {kind}, --out must end in {' or '.join(endings[kind])}, and '{out}' does not; the formats are "
            f"{formats}."
        )
    if out.exists():
        raise OutputError(f"'{out}' is there already; delete it, or choose another path.")
    text = EXPORTS[ExportAs(kind)][endings[kind].index(out.suffix.lower())].write(
        CollectionFacts.open(collection)
    )
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    typer.echo(f"{out}: {len(text.encode()) / 1000:,.0f} kB")
