"""The command `check-model`: which training images does a generator, or somebody's LoRA, bring back?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution_core.cli.options import Device, SaidSo, read_prompts
from attribution_core.common.text import one_line

if TYPE_CHECKING:
    from attribution_core.collection.collection import Collection
    from attribution_core.generation.generator import Generator


def check_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A generator: a diffusers folder, a hub name or a name that 'generators' lists. Or a LoRA or textual "
            "inversion: a .safetensors file, or a folder that holds one.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the images and the report; resumes what is in it.")],
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    prompts: Annotated[Path | None, typer.Option(help="Text file of prompts, one per line.")] = None,
    captions: Annotated[int, typer.Option(help="Training captions to draw, chosen by lot.")] = 0,
    seeds: Annotated[int, typer.Option(help="Images per prompt, with seeds 1, 2, ...")] = 4,
    base: Annotated[
        str,
        typer.Option(
            help="Generator that a LoRA or textual inversion belongs to; default: the collection's own."
        ),
    ] = "",
    steps: Annotated[int | None, typer.Option(help="Denoising steps; default: the generator's own.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance scale; default: the generator's own.")
    ] = None,
    said_so: SaidSo = False,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")] = False,
) -> None:
    """Draw from a model, and report which training images come back; stopped work is resumed."""
    from attribution_core.analyses.memorization import model_check
    from attribution_core.analyses.memorization.verdict import Memorization
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.collection import Collection
    from attribution_core.common.files import atomic_path
    from attribution_core.errors import InvalidInputError
    from attribution_core.reports.model_check import ModelCheck
    from attribution_core.reports.wording import model_check as words
    from attribution_core.reports.wording.verdict import verdict_how
    from attribution_core.settings import Settings

    if prompts is None and captions == 0:
        raise InvalidInputError("there is nothing to draw; give --captions N, --prompts FILE, or both.")
    opened = Collection.open(collection or Settings().collection)
    texts = model_check.training_captions(opened.corpus, captions) if captions else []
    if prompts is not None:
        texts += read_prompts(prompts)
    settings = model_check.CheckSettings(model_check.as_prompts(opened.corpus, texts), seeds, steps, guidance)
    generator = _generator(model, base, opened, device)
    if generator.licence_notice:
        typer.echo(generator.licence_notice, err=True)
    with progress_bar("image") as show:
        images = list(model_check.check_model(generator, Memorization(opened, device), settings, out, show))
    check = ModelCheck.of(
        images, opened, generator.title, trained_here=said_so or _builds_on(generator, opened), device=device
    )
    for name, text in (("report.json", check.to_json()), ("report.html", check.to_html())):
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if as_json:
        typer.echo(check.to_json())
        return
    verdicts = check.scan.verdicts
    typer.echo(one_line(f"{words.check_sentence(verdicts)} {words.check_precision(verdicts)}".rstrip()))
    typer.echo("prompts            number  images  copies             of the image with that caption")
    for rate in check.rates:
        own = words.rate_words(rate.own) if rate.name == words.CAPTIONS else ""
        typer.echo(
            f"{rate.name:17s}  {rate.prompts:6,d}  {rate.images:6,d}  {words.rate_words(rate.copies):17s}  {own}"
        )
    for one in check.came:
        typer.echo(one_line(f"{one.images} of {one.credit.title_and_maker}, at up to {one.similarity:.3f}"))
    typer.echo(f"How do we know? {verdict_how(verdicts[0])} {words.MEANS}")
    typer.echo(f"{out / 'report.html'}, {out / 'report.json'}", err=True)


def _generator(model: str, base: str, opened: Collection, device: str) -> Generator:
    """The model, or the base with the LoRA or textual inversion that the model is."""
    from attribution_core.errors import CheckpointError, InvalidInputError
    from attribution_core.generation.adapters import Adapter
    from attribution_core.generation.generator import Generator

    path = Path(model)
    is_file = path.is_file() or path.suffix.lower() in (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
    is_pipeline = (path / "model_index.json").is_file()
    if is_pipeline or not (is_file or (path.is_dir() and any(path.glob("*.safetensors")))):
        if base:
            raise InvalidInputError(f"--base is for a LoRA or textual inversion, and '{model}' is neither.")
        return Generator.open(model, device)
    adapter = Adapter.open(path)
    if not base and opened.generator_path is None:
        raise CheckpointError(
            f"the collection '{opened.name}' has no generator; name the one that the {adapter.kind} belongs to with "
            "--base."
        )
    return Generator.open(base or str(opened.generator_path), device, adapter)


def _builds_on(generator: Generator, opened: Collection) -> bool:
    """Whether a generator is the collection's own, or changes it."""
    from attribution_core.generation.weights import weights_sha256

    own = opened.generator_path
    return own is not None and weights_sha256(generator.folder) == weights_sha256(own)
