"""The command `artwork`: would an artist be credited, and which prompts come close to their work?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.common.text import one_line
from attribution_core.settings import Settings


def artwork(
    images: Annotated[Path, typer.Argument(help="An image by the artist, or a folder of 1 to 30.")],
    artist: Annotated[str, typer.Option(help="Name of the artist.")] = "the artist",
    image: Annotated[
        list[Path] | None, typer.Option(help="A generated image to attribute; may be repeated.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Text file of prompts to generate, one per line.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the generated images.")] = 1,
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Method of the collection; default: its own.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")] = False,
) -> None:
    """Show where an artist's IMAGES would rank among the training images, without storing them.

    Without --image and --prompts, images are generated from the captions of the closest training images.
    """
    from attribution_core.analyses.artwork.standing import Artwork, embed, would_be_credited
    from attribution_core.analyses.artwork.survey import close_prompts, survey
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.collection import Collection
    from attribution_core.common.folders import image_files
    from attribution_core.common.text_files import read_lines
    from attribution_core.errors import CheckpointError
    from attribution_core.generation.generator import Generator
    from attribution_core.reports.as_dict import standing_dict, survey_dict
    from attribution_core.reports.wording.artwork import standing_sentence, survey_sentence

    files = [path for _, path in image_files([images])]
    lines = None if prompts is None else read_lines(prompts, "the prompts")
    opened = Collection.open(collection or Settings().collection, method)
    attributor = Attributor(opened, device=device)
    candidates = embed(attributor, Artwork.read(files, artist))
    answers = {str(path): would_be_credited(attributor, path, candidates) for path in image or ()}
    surveyed = None
    if prompts is not None or not image:
        texts = close_prompts(attributor, candidates) if lines is None else lines
        if opened.generator_path is None:
            raise CheckpointError(
                f"collection '{opened.name}' has no generator for prompts; give --image FILE."
            )
        with progress_bar("step") as on_step:
            surveyed = survey(
                attributor,
                Generator.open(opened.generator_path, device),
                candidates,
                texts,
                seed=seed,
                on_step=on_step,
            )
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "collection": opened.name,
                    "method": opened.method,
                    "images": [{"image": name, **standing_dict(s)} for name, s in answers.items()],
                    "survey": None if surveyed is None else survey_dict(surveyed),
                },
                indent=2,
                ensure_ascii=False,
            )
        )
        return
    for name, standing in answers.items():
        typer.echo(one_line(f"{name}: {standing_sentence(standing)}"))
    if surveyed is not None:
        typer.echo(one_line(survey_sentence(surveyed)))
        typer.echo("   share  closest at  of      prompt")
        for row in surveyed.ranked:
            s = row.standing
            typer.echo(
                f"{s.share:8.3%}  {s.best.rank:10,d}  {s.attribution.n_training:6,d}  {one_line(row.prompt)}"
            )
