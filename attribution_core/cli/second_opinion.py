"""The command `second-opinion`: generate an image and rank training images by two methods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.common.text import one_line


def second_opinion(
    prompt: Annotated[str, typer.Argument(help="What to generate, attribute and unlearn.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same image.")] = 0,
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Method of the collection; default: its own.")] = None,
    top: Annotated[int, typer.Option(help="Number of training images to print.")] = 10,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")] = False,
) -> None:
    """Generate an image from PROMPT, and rank training images by similarity and by unlearning the image."""
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
        raise CheckpointError(f"collection '{opened.name}' has no generator that could unlearn an image.")
    generator = Generator.open(opened.generator_path, device=device)
    image = generator.generate(prompt, seed=seed).image
    with progress_bar("pass") as show:
        opinion = judge(Attributor(opened, device=device), generator, image, prompt, on_step=show)
    rows = [
        {
            "by_similarity": int(opinion.rank_similarity[k]),
            "by_unlearning": int(opinion.rank_unlearning[k]),
            "similarity": float(opinion.similarity[k]),
            "loss_rose_by": float(opinion.change[k]),
            "listed": bool(opinion.listed[k]),
            "id": opinion.credits[k].id,
            "caption": opinion.credits[k].caption,
            "creator": opinion.credits[k].creator,
            "licence": opinion.credits[k].licence,
        }
        for k in opinion.order(True)
    ]
    agreement, above = opinion.agreement(), opinion.above_random()
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "prompt": prompt,
                    "seed": seed,
                    "collection": opened.name,
                    "method": opened.method,
                    "forgotten": opinion.losses.took,
                    "loss": [opinion.losses.query_before, opinion.losses.query_after],
                    "agreement": asdict(agreement),
                    "listed_above_random": asdict(above) if above else None,
                    "images": rows,
                },
                indent=2,
            )
        )
        return
    if not opinion.losses.took:
        typer.echo(
            "note: the loss on the image did not rise, so its effect on others is meaningless.", err=True
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
    typer.echo(f"rank correlation of {len(opinion)} images: {agreement}")
