"""The command `customize`: tune a generator on a few images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.settings import Settings


def customize(
    images: Annotated[list[Path], typer.Argument(help="Images of one object or style, or a folder of them.")],
    category: Annotated[str, typer.Option(help="What they show, in words: 'cat', 'red car'.")],
    out: Annotated[Path, typer.Option(help="Output folder, a few megabytes.")],
    style: Annotated[
        bool, typer.Option("--style", help="The images share a style rather than an object.")
    ] = False,
    steps: Annotated[int, typer.Option(help="Tuning steps.")] = 125,
    batch_size: Annotated[int, typer.Option(help="Views per step.")] = 8,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate; default: by the generator's size.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 0,
    generator: Annotated[
        str,
        typer.Option(
            help="Name (see 'generators'), folder or hub name; Stable Diffusion 1 or 2, or the pocket one."
        ),
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Tune a generator on IMAGES with Custom Diffusion, so that a new token stands for them."""
    from tqdm import tqdm

    from attribution_core.collection.layout import CollectionLayout
    from attribution_core.common.folders import image_files
    from attribution_core.common.images import read_image
    from attribution_core.generation.generator import Generator
    from attribution_core.generation.tuning.customization import customize as tune
    from attribution_core.generation.tuning.loop import OBJECT_CAPTIONS, STYLE_CAPTIONS, prompt_for
    from attribution_core.generation.tuning.pipeline_edits import TOKEN

    captions = STYLE_CAPTIONS if style else OBJECT_CAPTIONS
    settings = Settings()
    opened = Generator.open(
        generator or settings.generator or CollectionLayout(settings.collection).generator, device=device
    )
    if opened.licence_notice:
        typer.echo(opened.licence_notice, err=True)
    exemplars = [read_image(file) for _, file in image_files(images)]
    with tqdm(total=steps, unit="step", disable=not sys.stderr.isatty()) as bar:
        customization = tune(
            opened,
            exemplars,
            category,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            captions=captions,
            views=max(64, len(exemplars)),
            seed=seed,
            on_step=lambda _: bar.update(),
        )
    customization.save(out)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    count = "1 image" if len(exemplars) == 1 else f"{len(exemplars)} images"
    typer.echo(
        f"{out}: learned from {count}, {size:.1f} MB; in prompts, write "
        f"'{prompt_for(captions[0], category, TOKEN)}'"
    )
