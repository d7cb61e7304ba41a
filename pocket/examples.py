"""Makes the example images that the app opens on: `python -m pocket.examples`.

They are made by the shipped generator and carry their recipe, so that anyone can make them again.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.generation import Generator

COLLECTION = Path("checkpoints/pocket")
# (prompt, seed): one or two of each style, of things that the corpus has in many styles.
EXAMPLES: tuple[tuple[str, int], ...] = (
    ("red apple, noto style", 1),
    ("grinning face, blob style", 1),
    ("blue heart, twemoji style", 1),
    ("cat face, fluent style", 1),
    ("tulip, fluent flat style", 1),
    ("strawberry, emojione style", 1),
    ("sun, streamline style", 1),
    ("yellow flower, clip art style", 1),
)

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


def slug(prompt: str) -> str:
    """The prompt as a file name: "red apple, noto style" -> "red-apple-noto-style"."""
    return re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")


def make_examples(generator: Generator, out: Path, steps: int = 25, guidance: float = 3.5) -> list[Path]:
    """Write one PNG with its recipe for each of `EXAMPLES`; returns the files in order.

    Made one by one, as the app makes them: a user who enters the recipe sees the same pixels.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for prompt, seed in EXAMPLES:
        files.append(out / f"{slug(prompt)}.png")
        generator.generate(prompt, seed, steps, guidance).save(files[-1])
    return files


@app.command()
def main(
    collection: Annotated[Path, typer.Option(help="Folder with generator/; gets examples/.")] = COLLECTION,
) -> None:
    """Make the examples again from the shipped generator."""
    for file in make_examples(Generator.open(collection / "generator"), collection / "examples"):
        sys.stderr.write(f"{file}\n")


if __name__ == "__main__":
    app()
