"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
SaidSo = Annotated[
    bool,
    typer.Option(
        "--made-by-this-model", help="The image was made by a model that was trained on this collection."
    ),
]
