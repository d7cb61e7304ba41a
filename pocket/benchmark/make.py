"""Builds the pocket benchmark of images whose influence is known: `python -m pocket.benchmark --help`.

Tunes the pocket generator on each held-out exemplar or style set of the plan (`pocket.benchmark.plan`), several at
once, and generates images for prompts that tuning never saw. Finished models are stored in the work folder,
so that an interrupted run resumes. The result: images in Parquet, manifests in the released JSON
format with additional fields, prompts as text files, and contact sheets of 40 models.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

from attribution_core.add_one_in.cases import ManifestEntry
from attribution_core.add_one_in.image_store import write_images
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.files import atomic_path, sha256_file, write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.generation.generator import Generator
from attribution_core.generation.tuning.customization import customize_many, customized
from attribution_core.generation.tuning.loop import Subject, TuningSettings, prompt_for
from attribution_core.generation.tuning.pipeline_edits import TOKEN
from pocket.benchmark.plan import KINDS, SPLITS, Model, plan
from pocket.prompts import STYLE_TUNING, TUNING, benchmark_prompts
from pocket.training import fast_arithmetic, native_bfloat16, say

COLLECTION = Path("checkpoints/pocket")
WORK = Path(".work/benchmark")
SHEETS = {"benchmark_objects": False, "benchmark_styles": True}
SHEET_MODELS = 20
QUALITY = 90  # of the WebP files
LICENCES = {"core": "CC-BY-4.0", "by-sa": "CC-BY-SA-4.0", "gpl": "GPL-2.0"}


@dataclass(frozen=True)
class Settings:
    """Settings of tuning and generation; other values use other work files.

    each: images per model and kind of prompt. untuned: how many of each kind the untuned generator draws as well.
    steps, guidance: of generation. iterations, style_iterations: of tuning on one image, and on a set with a common
    style, which takes longer. scattered: tune on smaller exemplars at random positions, so that generated images
    do not repeat their layout. beside: models tuned at once.
    """

    each: int = 8
    untuned: int = 2
    steps: int = 10
    guidance: float = 3.5
    iterations: int = 125
    style_iterations: int = 375
    batch_size: int = 4
    learning_rate: float = 1e-3
    beside: int = 8
    scattered: bool = True
    seed: int = 0

    @property
    def drawn_untuned(self) -> tuple[int, ...]:
        """Positions, among a model's prompts, of those that the untuned generator draws as well."""
        return tuple(k * self.each + i for k in range(len(KINDS)) for i in range(self.untuned))

    def tuning(self, style: bool) -> TuningSettings:
        """Return the settings for `customize_many`, in the fastest precision on this machine."""
        precision = "bfloat16" if native_bfloat16(torch.device("cpu")) else "float32"
        return TuningSettings(
            self.style_iterations if style else self.iterations,
            self.batch_size,
            self.learning_rate,
            precision=precision,
            scattered=self.scattered,
        )


@dataclass(frozen=True)
class Made:
    """The images of one model.

    tuned: (q, s, s, 3) uint8, in the order of its prompts. untuned: (u, s, s, 3), the first prompts of each kind
    without tuning, from the same noise. losses: (iterations,). seconds: of tuning and generation.
    """

    tuned: np.ndarray = field(repr=False)
    untuned: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    seconds: float


def make(generator: Generator, exemplars: Corpus, models: Sequence[Model], settings: Settings) -> list[Made]:
    """Tune on each model's exemplars at once, then generate each model's images. models: all objects or all styles."""
    started = time.monotonic()
    subjects = [
        Subject([exemplars.image(i) for i in m.exemplars], m.category, m.captions, m.names, m.seed)
        for m in models
    ]
    with fast_arithmetic(torch.device("cpu")):
        learned = customize_many(generator, subjects, settings.tuning(models[0].style))
    tuning = (time.monotonic() - started) / len(models)
    made = []
    for model, taught in zip(models, learned, strict=True):
        started = time.monotonic()
        with customized(generator, taught):
            tuned = _draw(generator, model, range(len(model.prompts)), TOKEN, settings)
        untuned = _draw(generator, model, settings.drawn_untuned, "", settings)
        made.append(Made(tuned, untuned, taught.losses, tuning + time.monotonic() - started))
    return made


def _draw(
    generator: Generator, model: Model, chosen: Sequence[int], token: str, settings: Settings
) -> np.ndarray:
    # Without its token, the end of a style prompt is meaningless.
    prompts = [
        prompt_for(model.prompts[k], model.category, token).removesuffix(" in the style of art")
        for k in chosen
    ]
    with fast_arithmetic(torch.device("cpu")):
        images = generator.generate_batch(
            prompts, [model.seeds[k] for k in chosen], settings.steps, settings.guidance, batch_size=16
        )
    return np.stack([np.asarray(image.image) for image in images])


def save(made: Made, path: Path) -> None:
    """Write one model's file atomically."""
    with atomic_path(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, **vars(made))


def load(path: Path) -> Made:
    """Read what `save` wrote."""
    with np.load(path) as data:
        return Made(data["tuned"], data["untuned"], data["losses"], float(data["seconds"]))


def make_all(
    collection: Path, work: Path, models: Sequence[Model], settings: Settings, workers: int
) -> list[Made]:
    """Make every model that has no file yet, in `workers` processes, and read them all."""
    generator = Generator.open(CollectionLayout(collection).generator)
    text = json.dumps([dataclasses.asdict(settings), generator.sha256], sort_keys=True)
    folder = work / hashlib.sha256(text.encode()).hexdigest()[:12]
    files = {model.number: folder / f"model-{_identity(model)}.npz" for model in models}
    missing = [model for model in models if not files[model.number].exists()]
    say(f"{len(models)} models, {len(models) - len(missing)} of them made by an earlier run, in {folder}")
    sorts = [[m for m in missing if m.style is style] for style in (True, False)]  # the long ones first
    groups = [sort[k : k + settings.beside] for sort in sorts for k in range(0, len(sort), settings.beside)]
    jobs = [(group, [files[m.number] for m in group]) for group in groups]
    threads = max(1, (os.cpu_count() or 1) // workers)
    # Spawned, because a forked process would share the parent's thread pools.
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start, (collection, settings, threads)
    ) as pool:
        started, done = time.monotonic(), 0
        futures = {pool.submit(_work, *job): len(job[0]) for job in jobs}
        try:
            for future in as_completed(futures):
                future.result()
                done += futures[future]
                rate = (time.monotonic() - started) / done
                left = rate * (len(missing) - done) / 60
                say(f"model {done} of {len(missing)}, {rate:.1f} s each, {left:.1f} min left")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [load(files[model.number]) for model in models]


def _identity(model: Model) -> str:
    """Return the key of a model's file, which does not depend on its number in the plan."""
    text = json.dumps({**dataclasses.asdict(model), "number": 0}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_shop: list[tuple[Generator, Corpus, Settings]] = []


def _start(collection: Path, settings: Settings, threads: int) -> None:
    torch.set_num_threads(threads)
    _shop[:] = [
        (
            Generator.open(CollectionLayout(collection).generator),
            Corpus.open(CollectionLayout(collection).corpus, "exemplars"),
            settings,
        )
    ]


def _work(models: Sequence[Model], files: Sequence[Path]) -> None:
    generator, exemplars, settings = _shop[0]
    for made, file in zip(make(generator, exemplars, models, settings), files, strict=True):
        save(made, file)


def entry(model: Model, exemplars: Corpus, settings: Settings) -> ManifestEntry:
    """Return the model's manifest entry; paths of exemplars are their ids in the corpus."""
    ids = exemplars.column("id")
    paths = image_paths(model)
    prompts = [prompt_for(prompt, model.category) for prompt in model.prompts]
    untuned = {
        kind: [f"untuned/{paths[k]}" for k in settings.drawn_untuned if model.kinds[k] == kind]
        for kind in KINDS
    }

    def by_kind(values: Sequence[Any]) -> dict[str, tuple[Any, ...]]:
        return {
            kind: tuple(v for v, k in zip(values, model.kinds, strict=True) if k == kind) for kind in KINDS
        }

    return ManifestEntry(
        tuple(ids[i] for i in model.exemplars),
        by_kind(paths),
        model.class_id,
        model.category,
        {
            "style": model.style,
            "licence": LICENCES[model.part],
            "prompts": by_kind(prompts),
            "seeds": by_kind(model.seeds),
            "untuned": untuned,
        },
    )


def image_paths(model: Model) -> list[str]:
    """Return the paths of the model's images in the manifest, in the order of its prompts."""
    within = [k for _ in KINDS for k in range(len(model.prompts) // len(KINDS))]
    return [
        f"{model.split}/{model.number:04d}/{kind}/{k:02d}.webp"
        for kind, k in zip(model.kinds, within, strict=True)
    ]


def write(
    out: Path, collection: Path, models: Sequence[Model], made: Sequence[Made], settings: Settings
) -> None:
    """Images, manifests, prompts and card."""
    exemplars = Corpus.open(CollectionLayout(collection).corpus, "exemplars")
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for part in sorted({m.part for m in models}):
        file = out / f"images-{part}.parquet"
        write_images(
            file,
            (
                named
                for m, d in zip(models, made, strict=True)
                if m.part == part
                for named in _images(m, d, settings)
            ),
        )
        files.append(file)
    for split in SPLITS:
        rows = [entry(m, exemplars, settings).to_dict() for m in models if m.split == split]
        write_json_atomic(out / f"{split}.json", rows)
        files.append(out / f"{split}.json")
    for name, prompts in _prompt_files().items():
        with atomic_path(out / "prompts" / name) as temporary:
            temporary.write_text("\n".join(prompts) + "\n", encoding="utf-8")
    generator = Generator.open(CollectionLayout(collection).generator)
    write_card(
        out,
        {
            "what": "add-one-in benchmark: images of the pocket generator, tuned on drawings that it never saw",
            "models": {
                split: {
                    "object": sum(m.split == split and not m.style for m in models),
                    "style": sum(m.split == split and m.style for m in models),
                }
                for split in SPLITS
            },
            "images": sum(len(d.tuned) for d in made),
            "settings": dataclasses.asdict(settings),
            "generator_sha256": generator.sha256,
            "corpus_sha256": read_card(CollectionLayout(collection).corpus)["files"],
            "seconds_per_model": round(float(np.mean([d.seconds for d in made])), 2),
            "licence": {f"images-{part}.parquet": licence for part, licence in LICENCES.items()},
            "creators": "the pocket generator; each exemplar's creator stands in ../corpus/exemplars-*.parquet",
            "files": {file.name: sha256_file(file) for file in files},
        },
    )


def _images(model: Model, made: Made, settings: Settings) -> Iterable[tuple[str, bytes]]:
    paths = image_paths(model)
    yield from zip(paths, map(_webp, made.tuned), strict=True)
    chosen = [f"untuned/{paths[k]}" for k in settings.drawn_untuned]
    yield from zip(chosen, map(_webp, made.untuned), strict=True)


def _webp(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def _prompt_files() -> dict[str, Sequence[str]]:
    files: dict[str, Sequence[str]] = {"object-tuning.txt": TUNING, "style-tuning.txt": STYLE_TUNING}
    for style, name in ((False, "object"), (True, "style")):
        for part in ("train", "test"):
            for kind, templates in benchmark_prompts(part, style).items():
                files[f"{name}-{kind}-{part}.txt"] = templates
    return files


def contact_sheet(models: Sequence[Model], made: Sequence[Made], exemplars: Corpus, path: Path) -> None:
    """Draw one row per model: up to three exemplars, eight tuned images, then those of the untuned generator."""
    rows = []
    for model, done in zip(models, made, strict=True):
        side = done.tuned.shape[1]
        shown = [np.asarray(exemplars.image(i).resize((side, side))) for i in model.exemplars[:3]]
        shown += [np.full((side, side, 3), 128, np.uint8)] * (3 - len(shown))
        gap = np.full((side, side // 8, 3), 128, np.uint8)
        spread = np.linspace(0, len(done.tuned) - 1, 8).astype(int)
        rows.append(np.concatenate([*shown, gap, *done.tuned[spread], gap, *done.untuned], axis=1))
    with atomic_path(path) as partial:
        Image.fromarray(np.concatenate(rows)).save(partial)
    say(f"look at {path}: exemplars, tuned, untuned")


def main(
    collection: Annotated[Path, typer.Option(help="Folder with corpus/ and generator/.")] = COLLECTION,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: COLLECTION/benchmark.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of finished models, from which a run resumes.")] = WORK,
    limit: Annotated[int | None, typer.Option(min=1, help="Models per split, for a quick look.")] = None,
    each: Annotated[int, typer.Option(min=1, help="Images per model and kind of prompt.")] = Settings.each,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = Settings.steps,
    iterations: Annotated[
        int, typer.Option(min=1, help="Tuning iterations for objects.")
    ] = Settings.iterations,
    style_iterations: Annotated[int, typer.Option(min=1, help="For styles.")] = Settings.style_iterations,
    beside: Annotated[int, typer.Option(min=1, help="Models to tune at once.")] = Settings.beside,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each takes its share of the cores.")] = 2,
) -> None:
    """Tune the benchmark's models, generate their images and write the data set."""
    settings = Settings(
        each=each,
        untuned=min(Settings.untuned, each),
        steps=steps,
        iterations=iterations,
        style_iterations=style_iterations,
        beside=beside,
    )
    exemplars = Corpus.open(CollectionLayout(collection).corpus, "exemplars")
    models = plan(exemplars, each, limit, settings.seed)
    made = make_all(collection, work, models, settings, workers)
    write(out or CollectionLayout(collection).benchmark, collection, models, made, settings)
    for name, style in SHEETS.items():
        tests = [
            (m, d)
            for m, d in zip(models, made, strict=True)
            if m.style is style and m.split.startswith("test")
        ]
        chosen = tests[:: max(1, len(tests) // SHEET_MODELS)][:SHEET_MODELS]
        if chosen:
            contact_sheet([m for m, _ in chosen], [d for _, d in chosen], exemplars, work / f"{name}.png")
