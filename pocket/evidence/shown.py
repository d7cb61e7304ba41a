"""Measures how often "the image may not show it" is right: `python -m pocket.evidence.shown`.

Draws the prompts of shown.csv again. Each image was looked at once, by eye and without its shares: does it show what
was asked for, hardly, or not? One half served to set the threshold, the other is the test.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import typer

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.finding import LISTED, UNNAMED_SHARE, named_share
from attribution_core.collection.collection import Collection
from attribution_core.generation.generator import Generator
from pocket.generator.commands import POCKET

LOOKED_AT = Path(__file__).with_suffix(".csv")
_THRESHOLDS = sorted({0.01, 0.02, UNNAMED_SHARE, 0.05, 0.1})


def counts(rows: list[dict[str, str]], shares: list[float]) -> dict[str, dict[str, int]]:
    """Of images that show what was asked for, hardly or not: how many there are, and have a share below a threshold.

    rows: of shown.csv. shares: of each row's image, see `named_share`.
    """
    found = {"images": Counter(row["shows"] for row in rows)}
    for threshold in _THRESHOLDS:
        found[f"below {threshold:g}"] = Counter(
            row["shows"] for row, share in zip(rows, shares, strict=True) if share < threshold
        )
    return {name: dict(sorted(counter.items())) for name, counter in found.items()}


def main() -> None:
    """Print one JSON line for each half."""
    collection = Collection.open(POCKET.folder)
    attributor, path = Attributor(collection, "cpu"), collection.generator_path
    assert path is not None  # the pocket collection has one
    generator = Generator.open(path, "cpu")
    with LOOKED_AT.open(encoding="utf-8", newline="") as file:
        looked_at = list(csv.DictReader(file))
    for half in ("threshold", "test"):
        rows = [row for row in looked_at if row["used"] == half]
        shares = []
        for row in rows:
            drawn = generator.generate(row["prompt"], int(row["seed"]))
            share = named_share(attributor.attribute(drawn.image, LISTED), row["prompt"])
            shares.append(1.0 if share is None else share)
        typer.echo(json.dumps({"used": half, **counts(rows, shares)}))


if __name__ == "__main__":
    typer.run(main)
