"""Generates the example images of the app: `python -m pocket.examples`.

The bundled generator draws them, and each contains its recipe, so anyone can reproduce them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.collection.layout import CollectionLayout
from attribution_core.generation.generator import Generator

COLLECTION = Path("checkpoints/pocket")
# (prompt, seed) in the order of the page, which opens on the first: one of each style, the best of five seeds by
# eye. Nothing was chosen on assets/pocket_sheet.png.
EXAMPLES: tuple[tuple[str, int], ...] = (
    ("red heart, fluent style", 12),
    ("red apple, noto style", 12),
    ("blue heart, twemoji style", 12),
    ("rabbit face, blob style", 11),
    ("bus, fluent flat style", 12),
    ("grinning face, emojione style", 13),
    ("rabbit, streamline style", 11),
    ("tree, clip art style", 15),
)

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


def file_name(place: int, prompt: str) -> str:
    """Return the file name of an example: 2, "red apple, noto style" -> "2-red-apple-noto-style.png"."""
    return f"{place}-{re.sub(r'[^a-z0-9]+', '-', prompt.lower()).strip('-')}.png"


def make_examples(generator: Generator, out: Path) -> list[Path]:
    """Generate one PNG with its recipe for each of `EXAMPLES`; returns the files in order.

    They are generated singly, as in the app, so that a user who enters the recipe gets the same pixels.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.png"):
        old.unlink()
    files = []
    for place, (prompt, seed) in enumerate(EXAMPLES, 1):
        files.append(out / file_name(place, prompt))
        generator.generate(prompt, seed).save(files[-1])
    return files


@app.command()
def main(
    collection: Annotated[Path, typer.Option(help="Folder with generator/; gets examples/.")] = COLLECTION,
) -> None:
    """Make the examples again from the shipped generator."""
    layout = CollectionLayout(collection)
    for file in make_examples(Generator.open(layout.generator), layout.examples):
        sys.stderr.write(f"{file}\n")


if __name__ == "__main__":
    app()
