"""Add-one-in queries: images of the pocket generator, tuned on one held-out exemplar at a time.

Each finished exemplar is one small file in the work folder, so that a run that was killed goes on where it
stopped, and several processes can share the work.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from attribution_core.cards import atomic_path
from attribution_core.corpus import Corpus
from attribution_core.customization import TOKEN, customize, customized, prompt_for
from attribution_core.errors import InvalidInputError
from attribution_core.generation import Generator

HOLD_EVERY = 3  # every third model is held out of the fit


@dataclass(frozen=True)
class AddOneSettings:
    """How queries are made; another value is another set of files.

    models: exemplars, one tuned model each. images: per model, each with another prompt. steps, guidance: of
    generation. iterations, batch_size, learning_rate: of tuning.
    """

    models: int = 66
    images: int = 8
    steps: int = 10
    guidance: float = 3.5
    iterations: int = 125
    batch_size: int = 4
    learning_rate: float = 1e-3
    seed: int = 0

    def key(self, generator: Generator) -> str:
        """Names the files that these settings and this generator make."""
        text = json.dumps([dataclasses.asdict(self), generator.sha256], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Task:
    """One model: number of the model, position of its exemplar in the split, and what it is asked to draw."""

    number: int
    exemplar: int
    category: str
    prompts: tuple[str, ...]  # templates
    seeds: tuple[int, ...]
    seed: int

    @property
    def held_out(self) -> bool:
        """Whether it tests the calibration instead of fitting it."""
        return self.number % HOLD_EVERY == HOLD_EVERY - 1


@dataclass(frozen=True)
class Made:
    """What one model made. tuned: (n, s, s, 3) uint8; untuned: the same prompts without tuning, or (0, ...).

    losses: (iterations,) of the tuning. seconds: tuning and generation together.
    """

    task: Task
    tuned: np.ndarray = field(repr=False)
    untuned: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    seconds: float


def plan(exemplars: Corpus, prompts: list[str], settings: AddOneSettings) -> list[Task]:
    """Choose single exemplars (of no style set), prompts and seeds; fixed by the seed, whatever else changes.

    Raises `InvalidInputError` where there are fewer single exemplars or prompts than asked for.
    """
    rng = np.random.default_rng(settings.seed)
    words = exemplars.column("concept_label")
    singles = [i for i, name in enumerate(exemplars.column("exemplar_set")) if not name and words[i]]
    if len(singles) < settings.models or len(prompts) < settings.images:
        raise InvalidInputError(
            f"{settings.models} single exemplars and {settings.images} prompts are wanted, but there are "
            f"{len(singles)} and {len(prompts)}; ask for fewer, or build the corpus again."
        )
    tasks = []
    for number, exemplar in enumerate(rng.permutation(singles)[: settings.models]):
        chosen = rng.permutation(len(prompts))[: settings.images]
        seeds = rng.integers(0, 2**31, size=settings.images + 1)
        tasks.append(
            Task(
                number,
                int(exemplar),
                words[exemplar],
                tuple(prompts[i] for i in chosen),
                tuple(int(s) for s in seeds[1:]),
                int(seeds[0]),
            )
        )
    return tasks


def make(
    generator: Generator, exemplar: Image.Image, task: Task, captions: list[str], settings: AddOneSettings
) -> Made:
    """Tune on the exemplar and make its images; held-out models also give what is made without tuning."""
    started = time.monotonic()
    tuned_model = customize(
        generator,
        [exemplar],
        task.category,
        steps=settings.iterations,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        captions=captions,
        seed=task.seed,
    )

    def draw(token: str) -> np.ndarray:
        prompts = [prompt_for(p, task.category, token) for p in task.prompts]
        images = generator.generate_batch(prompts, task.seeds, settings.steps, settings.guidance)
        return np.stack([np.asarray(made.image) for made in images])

    with customized(generator, tuned_model):
        tuned = draw(TOKEN)
    untuned = draw("") if task.held_out else tuned[:0]
    return Made(task, tuned, untuned, tuned_model.losses, time.monotonic() - started)


def save(made: Made, path: Path) -> None:
    """Write one model's file whole or not at all."""
    task = json.dumps(dataclasses.asdict(made.task))
    with atomic_path(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(
            handle,
            tuned=made.tuned,
            untuned=made.untuned,
            losses=made.losses,
            seconds=made.seconds,
            task=task,
        )


def load(path: Path) -> Made:
    """Read what `save` wrote."""
    with np.load(path) as data:
        task = json.loads(str(data["task"]))
        task |= {"prompts": tuple(task["prompts"]), "seeds": tuple(task["seeds"])}
        return Made(Task(**task), data["tuned"], data["untuned"], data["losses"], float(data["seconds"]))


def make_all(
    generator_folder: Path, corpus: Path, work: Path, settings: AddOneSettings, workers: int = 2
) -> list[Made]:
    """Make every model that has no file yet, in `workers` processes, and read them all.

    corpus: folder with exemplars-*.parquet and prompts.json. work: files go to a folder below it that is
    named after the settings and the generator.
    """
    prompts = json.loads((corpus / "prompts.json").read_text(encoding="utf-8"))
    tasks = plan(Corpus.open(corpus, split="exemplars"), prompts["test"], settings)
    folder = work / settings.key(Generator.open(generator_folder))
    missing = [task for task in tasks if not _file(folder, task).exists()]
    say(f"{len(tasks)} models, {len(tasks) - len(missing)} of them made by an earlier run, in {folder}")
    started = time.monotonic()
    if workers <= 1:
        _start(generator_folder, corpus, folder, prompts["tuning"], settings, 0)
        for done, task in enumerate(missing, start=1):
            _work(task)
            _progress(done, len(missing), started)
    elif missing:
        threads = max(1, (os.cpu_count() or 1) // workers)
        arguments = (generator_folder, corpus, folder, prompts["tuning"], settings, threads)
        # Spawned, because a forked process would share the parent's thread pools.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _start, arguments) as pool:
            try:
                for done, future in enumerate(
                    as_completed([pool.submit(_work, t) for t in missing]), start=1
                ):
                    future.result()
                    _progress(done, len(missing), started)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [load(_file(folder, task)) for task in tasks]


def say(text: str) -> None:
    """Report to whoever runs the recipe."""
    sys.stderr.write(text + "\n")


@dataclass(frozen=True)
class _Shop:
    """What a process keeps between models."""

    generator: Generator
    exemplars: Corpus
    folder: Path
    captions: list[str]
    settings: AddOneSettings


_shops: list[_Shop] = []


def _start(
    generator: Path, corpus: Path, folder: Path, captions: list[str], settings: AddOneSettings, threads: int
) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)
    exemplars = Corpus.open(corpus, split="exemplars")
    _shops[:] = [_Shop(Generator.open(generator), exemplars, folder, captions, settings)]


def _work(task: Task) -> None:
    shop = _shops[0]
    made = make(shop.generator, shop.exemplars.image(task.exemplar), task, shop.captions, shop.settings)
    save(made, _file(shop.folder, task))


def _file(folder: Path, task: Task) -> Path:
    return folder / f"model-{task.number:04d}.npz"


def _progress(done: int, total: int, started: float) -> None:
    rate = (time.monotonic() - started) / done
    say(f"model {done} of {total}, {rate:.1f} s each, {rate * (total - done) / 60:.1f} min left")
