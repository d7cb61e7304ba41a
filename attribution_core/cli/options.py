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


def read_prompts(path: Path) -> list[str]:
    """Prompts of a text file, each once, without superfluous spaces.

    Raises `InvalidInputError` for a file that is not UTF-8, cannot be read or holds none.
    """
    from attribution_core.common.text_files import read_lines
    from attribution_core.errors import InvalidInputError

    prompts = list(dict.fromkeys(" ".join(line.split()) for line in read_lines(path, "the prompts")))
    if not prompts:
        raise InvalidInputError(f"there is no prompt in '{path}'; write one per line.")
    return prompts
