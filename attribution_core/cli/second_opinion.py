"""The command `second-opinion`: an image made from a prompt, and its training images by two methods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.common.text import one_line


def second_opinion(
    prompt: Annotated[str, typer.Argument(help="What to draw, attribute and forget again.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same image.")] = 0,
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Another of the collection's methods.")] = None,
    top: Annotated[int, typer.Option(help="Training images to print.")] = 10,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone on stdout.")] = False,
) -> None:
    """Make an image from PROMPT, and rank training images by similarity and by unlearning the image."""
    from dataclasses import asdict

    from attribution_core.analyses.unlearning.second_opinion import second_opinion as judge
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.collection import Collection
    from attribution_core.common.arrays import whole
    from attribution_core.errors import CheckpointError
    from attribution_core.generation.generator import Generator
    from attribution_core.settings import Settings

    whole("top", top, 1)
    opened = Collection.open(collection or Settings().collection, method)
    if opened.generator_path is None:
        raise CheckpointError(f"collection '{opened.name}' has no generator that could forget an image.")
    generator = Generator.open(opened.generator_path, device=device)
    image = generator.generate(prompt, seed=seed).image
    with progress_bar("pass") as show:
        told = judge(Attributor(opened, device=device), generator, image, prompt, on_step=show)
    rows = [
        {
            "by_similarity": int(told.rank_similarity[k]),
            "by_unlearning": int(told.rank_unlearning[k]),
            "similarity": float(told.similarity[k]),
            "loss_rose_by": float(told.change[k]),
            "listed": bool(told.listed[k]),
            "id": told.credits[k].id,
            "caption": told.credits[k].caption,
            "creator": told.credits[k].creator,
            "licence": told.credits[k].licence,
        }
        for k in told.order(True)
    ]
    agreement, above = told.agreement(), told.above_random()
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "prompt": prompt,
                    "seed": seed,
                    "collection": opened.name,
                    "method": opened.method,
                    "forgotten": told.losses.took,
                    "loss": [told.losses.query_before, told.losses.query_after],
                    "agreement": asdict(agreement),
                    "listed_above_random": asdict(above) if above else None,
                    "images": rows,
                },
                indent=2,
            )
        )
        return
    if not told.losses.took:
        typer.echo(
            "note: the loss on the image did not rise, so what happened to others says nothing.", err=True
        )
    typer.echo("unlearning  similarity  loss rose by  caption; creator, licence")
    for row in rows[:top]:
        words = (
            f"{row['caption'] or row['id']}; {row['creator'] or 'unknown'}, "
            f"{row['licence'] or 'licence unknown'}"
        )
        typer.echo(
            f"{row['by_unlearning']:10d}  {row['by_similarity']:10d}  {row['loss_rose_by']:12.5f}  "
            f"{one_line(words)}"
        )
    typer.echo(f"rank correlation of {len(told)} images: {agreement}")
