"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Collections = Annotated[Path | None, typer.Option(help="Collection folder; default: the pocket collection.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
SaidSo = Annotated[
    bool,
    typer.Option(
        "--made-by-this-model", help="The image was made by a model that was trained on this collection."
    ),
]
