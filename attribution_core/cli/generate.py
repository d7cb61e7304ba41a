"""The command `generate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution_core.cli.options import Device
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.text import one_line
from attribution_core.errors import InvalidInputError, unknown_name
from attribution_core.settings import Settings

if TYPE_CHECKING:
    from attribution_core.generation.generator import GeneratedImage

_AS_WRITTEN = "none"


def generate(
    prompt: Annotated[str, typer.Argument(help='What to draw; "" generates an unconditional image.')],
    seed: Annotated[int, typer.Option(help="The same seed gives the same image.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; default: the generator's own.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance scale; default: the generator's own.")
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            help="Style of a prompt that names none; 'none' draws the prompt as written. Default: the app's, for the "
            "collection's own generator."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="PNG, JPEG or WebP file to write, with recipe and metadata.")
    ] = Path("generated.png"),
    generator: Annotated[
        str, typer.Option(help="Another generator: a name (see 'generators'), folder or hub name.")
    ] = "",
    prompt_writer: Annotated[
        str | None,
        typer.Option(
            help="Name of the prompt's writer, for the metadata; default: ATTRIBUTION_PROMPT_WRITER."
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Generate an image from PROMPT and save it with its recipe, metadata and, if set up, signed credentials."""
    from tqdm import tqdm

    from attribution_core.common.files import atomic_path
    from attribution_core.credentials.c2pa import Signer
    from attribution_core.generation.generator import Generator, kind_for

    if out.is_dir():
        raise InvalidInputError(f"'{out}' is a folder; give the name of a file to write.")
    settings = Settings()
    layout, other = CollectionLayout(settings.collection), generator or settings.generator
    if other and style not in (None, _AS_WRITTEN):
        raise InvalidInputError(
            f"--style is for the collection's own generator, and '{other}' is another; write the style into the prompt."
        )
    signer = Signer.of(settings.c2pa_certificate, settings.c2pa_key)
    opened = Generator.open(other or layout.generator, device=device)
    words = prompt if other or style == _AS_WRITTEN else _in_style(prompt, style, layout)
    if opened.licence_notice:
        typer.echo(opened.licence_notice, err=True)
    if savings := str(opened.load().plan):
        typer.echo(savings, err=True)
    with tqdm(total=steps or opened.defaults.steps, unit="step", disable=not sys.stderr.isatty()) as bar:
        result = opened.generate(
            words, seed=seed, steps=steps, guidance=guidance, on_step=lambda _: bar.update()
        )
    kind = kind_for(out)
    data = result.encode(kind, settings.prompt_writer if prompt_writer is None else prompt_writer)
    if signer is not None:
        estimate = None if other or result.blacked_out else _estimate(result, layout, device)
        data = signer.sign(data, kind, title=words, generator=result.recipe.generator, estimate=estimate)
    with atomic_path(out) as temporary:
        temporary.write_bytes(data)
    for notice in result.notices:
        typer.echo(notice, err=True)
    typer.echo(
        f"{out}: “{one_line(words)}”, {result.image.width} x {result.image.height} px, seed {seed}, "
        f"{result.recipe.steps} steps, guidance {result.recipe.guidance:g}"
    )


def _estimate(made: GeneratedImage, layout: CollectionLayout, device: str) -> dict[str, Any] | None:
    """What the collection's own method says of an image; None if it has no temperature yet."""
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.attribution.origin import made_by
    from attribution_core.collection.collection import Collection
    from attribution_core.reports.estimate import estimate_of

    collection = Collection.open(layout.folder)
    if not collection.calibrator.is_fitted:
        return None
    origin = made_by(made.recipe, collection)
    return estimate_of(Attributor(collection, device=device).attribute(made.image, made_by=origin))


def _in_style(prompt: str, style: str | None, layout: CollectionLayout) -> str:
    """The prompt as the app completes it. style: None for the app's default. Raises `UnknownNameError`."""
    from attribution_core.collection.examples import stored_examples
    from attribution_core.corpus.corpus import Corpus
    from attribution_core.corpus.vocabulary import Vocabulary

    layout = CollectionLayout.read(layout.folder)
    known = Vocabulary.of(Corpus.open(layout.corpus))
    if style is None:
        example = next(stored_examples(layout), None)
        style = known.usual_style("" if example is None else example[1].prompt)
    elif style not in known.styles:
        raise unknown_name("style", style, (*known.styles, _AS_WRITTEN))
    return known.complete(prompt, style)
