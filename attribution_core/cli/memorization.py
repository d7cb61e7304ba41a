"""The command `memorization`: find images, given or generated from prompts, that copy training images."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution_core.cli.options import read_prompts
from attribution_core.common.text import one_line

if TYPE_CHECKING:
    from attribution_core.collection.collection import Collection
    from attribution_core.generation.recipe import Recipe
    from attribution_core.reports.scan import ScannedImage

_BLOCK = 16  # images per update of the progress bar


def memorization(
    images: Annotated[list[Path] | None, typer.Argument(help="Image files, or folders of them.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Text file of prompts to generate images from, one per line.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Images per prompt, with seeds 1, 2, ...")] = 4,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; default: the generator's own.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance scale; default: the generator's own.")
    ] = None,
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="HTML file to write, with pictures.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Report which images are copies of training images, and how often prompts reproduce the same one."""
    from attribution_core.collection.collection import Collection
    from attribution_core.common.arrays import whole
    from attribution_core.common.files import atomic_path
    from attribution_core.common.folders import image_files
    from attribution_core.errors import InvalidInputError
    from attribution_core.reports.scan import Scan
    from attribution_core.reports.scan_html import scan_page
    from attribution_core.reports.wording.verdict import (
        returned_sentence,
        verdict_how,
        verdicts_sentence,
    )
    from attribution_core.settings import Settings

    if not images and prompts is None:
        raise InvalidInputError("there is nothing to check; give image files or folders, or --prompts FILE.")
    if html is not None and html.is_dir():
        raise InvalidInputError(f"'{html}' is a folder; give the name of a file to write.")
    whole("seeds", seeds, 1, 10_000)
    files = list(image_files(images or []))
    lines = [] if prompts is None else read_prompts(prompts)
    opened = Collection.open(collection or Settings().collection)
    items = [*_scan_files(files, opened, device)]
    if lines:
        items += _scan_prompts(lines, seeds, steps, guidance, opened, device)
    scan = Scan.of(items, opened)
    if html is not None:
        with atomic_path(html) as temporary:
            temporary.write_text(scan_page(scan), encoding="utf-8")
        typer.echo(f"{html}: {html.stat().st_size / 1000:,.0f} kB", err=True)
    if as_json:
        typer.echo(scan.to_json())
        return
    typer.echo("copy  similarity  drop-off  signal  image; closest training image")
    for item in scan.items:
        verdict = item.verdict
        mark = {None: "?", True: "COPY", False: "no"}[verdict.is_copy]
        signal = f"{item.signal.mean:6.2f}" if item.signal else "     -"
        typer.echo(
            f"{mark:4s}  {verdict.similarity[0]:10.3f}  {verdict.drop.size:8.3f}  {signal}  "
            f"{one_line(f'{item.title}; {verdict.credit.title_and_maker}')}"
        )
    for prompt, returned in scan.prompts().items():
        typer.echo(one_line(f"“{prompt}”: {returned_sentence(returned)}"))
    typer.echo(one_line(verdicts_sentence(scan.verdicts)))
    typer.echo(f"How do we know? {verdict_how(scan.verdicts[0])}")
    if scan.signal_how:
        typer.echo(f"The noise signal: {scan.signal_how}")


def _scan_files(files: list[tuple[str, Path]], opened: Collection, device: str) -> Iterator[ScannedImage]:
    """Check image files; if there are several, unreadable ones are reported and skipped."""
    from tqdm import tqdm

    from attribution_core.analyses.memorization.verdict import Memorization
    from attribution_core.common.images import read_image
    from attribution_core.errors import InvalidImageError
    from attribution_core.reports.scan import ScannedImage

    checker = Memorization(opened, device)
    with tqdm(total=len(files), unit="image", disable=not sys.stderr.isatty()) as bar:
        for start in range(0, len(files), _BLOCK):
            block = []
            for title, path in files[start : start + _BLOCK]:
                try:
                    block.append((title, path, read_image(path)))
                except InvalidImageError as error:
                    if len(files) == 1:
                        raise
                    typer.echo(one_line(f"skipped: {error}"), err=True)
            verdicts = checker.check_all([image for *_, image in block]) if block else []
            for (title, path, image), verdict in zip(block, verdicts, strict=True):
                yield ScannedImage(title, image, verdict, _recipe(path))
            bar.update(min(_BLOCK, len(files) - start))


def _recipe(path: Path) -> Recipe | None:
    from attribution_core.common.images import read_recipe
    from attribution_core.errors import AttributionError
    from attribution_core.generation.recipe import Recipe

    try:
        values = read_recipe(path)
        return None if values is None else Recipe.from_dict(values)
    except AttributionError:  # the recipe is optional; the verdict does not need it
        return None


def _scan_prompts(
    prompts: list[str], seeds: int, steps: int | None, guidance: float | None, opened: Collection, device: str
) -> Iterator[ScannedImage]:
    from tqdm import tqdm

    from attribution_core.analyses.memorization.verdict import Memorization
    from attribution_core.errors import CheckpointError
    from attribution_core.generation.generator import Generator
    from attribution_core.reports.scan import ScannedImage

    if opened.generator_path is None:
        raise CheckpointError(f"the collection '{opened.name}' has no generator for prompts; give images.")
    generator, checker = Generator.open(opened.generator_path, device), Memorization(opened, device)
    _ = checker.index  # fail before generating if the copy encoder is unusable
    with tqdm(total=len(prompts) * seeds, unit="image", disable=not sys.stderr.isatty()) as bar:
        for prompt in prompts:
            for seed in range(1, seeds + 1):
                result = generator.generate(prompt, seed, steps, guidance)
                yield ScannedImage(
                    f"“{prompt}”, seed {seed}",
                    result.image,
                    checker.check(result.image),
                    result.recipe,
                    result.noise_signal,
                )
                bar.update()
