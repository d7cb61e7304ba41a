"""The command `export`: describe a collection in a format that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    collection: Annotated[Path, typer.Argument(help="A collection's folder.")],
    out: Annotated[
        Path, typer.Option(help="File to write; for training-summary, .md or .html. Nothing is overwritten.")
    ],
    kind: Annotated[str, typer.Option("--as", help="croissant, datacard or training-summary.")],
) -> None:
    """Write a COLLECTION's description as Croissant, as a data card, or as a draft of a training summary."""
    from attribution_core.common.files import atomic_path
    from attribution_core.errors import InvalidInputError, OutputError, unknown_name
    from attribution_core.reports.exports.facts import CollectionFacts
    from attribution_core.reports.exports.formats import EXPORTS, ExportAs

    if kind not in list(ExportAs):
        raise unknown_name("format", kind, map(str, ExportAs))
    files = EXPORTS[ExportAs(kind)]
    endings = [Path(file.name).suffix for file in files]
    if out.suffix.lower() not in endings:
        raise InvalidInputError(f"'{out}' is to hold a {kind}; its name must end in {' or '.join(endings)}.")
    if out.exists():
        raise OutputError(f"'{out}' is there already; delete it, or choose another path.")
    text = files[endings.index(out.suffix.lower())].write(CollectionFacts.open(collection))
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    typer.echo(f"{out}: {len(text.encode()) / 1000:,.0f} kB")
