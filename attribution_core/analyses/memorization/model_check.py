"""Does a model bring training images back? Prompts are drawn from many seeds, and what was drawn is kept in a folder.

Work that was killed goes on where it stopped: every image is written whole, with its recipe and its noise signal, and
a folder takes no images of other settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attribution_core.analyses.memorization.verdict import Memorization, Verdict
from attribution_core.collection.collection import Collection
from attribution_core.common.arrays import whole
from attribution_core.common.files import atomic_path, make_folder, write_json_atomic
from attribution_core.common.images import png_bytes, read_image, read_recipe
from attribution_core.common.json_text import read_json
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import AttributionError, CheckpointError, InvalidInputError
from attribution_core.generation.generator import GeneratedImage, Generator
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe

MOST_SEEDS = 1000
_SETTINGS = "settings.json"
_IMAGES = "images"
_SIGNAL = "noise_signal"
_BATCH = 8  # images drawn at once; a kill loses no more


@dataclass(frozen=True)
class CheckPrompt:
    """One prompt. captioned: positions of the training images that have it as their caption; none of a fresh prompt."""

    text: str
    captioned: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class CheckedImage:
    """One drawn image and its verdict."""

    prompt: CheckPrompt
    made: GeneratedImage
    verdict: Verdict

    @property
    def is_own_copy(self) -> bool:
        """Whether it is a copy of a training image that has its prompt as caption."""
        return bool(self.verdict.is_copy) and int(self.verdict.ids[0]) in self.prompt.captioned


@dataclass(frozen=True)
class CheckSettings:
    """What is drawn. prompts: each once. seeds: 1, 2, ... of each. steps, guidance: None for the generator's own."""

    prompts: tuple[CheckPrompt, ...]
    seeds: int = 4
    steps: int | None = None
    guidance: float | None = None

    def __post_init__(self) -> None:
        """Raise `InvalidInputError` for a value out of range, or without prompts."""
        whole("seeds", self.seeds, 1, MOST_SEEDS)
        if not self.prompts:
            raise InvalidInputError("there is no prompt to draw; give prompts, or take training captions.")
        for prompt in self.prompts:  # a recipe refuses what cannot be drawn
            Recipe(
                prompt.text,
                steps=1 if self.steps is None else self.steps,
                guidance=1.0 if self.guidance is None else self.guidance,
            )

    @property
    def images(self) -> int:
        """How many images are drawn."""
        return len(self.prompts) * self.seeds


def as_prompts(corpus: Corpus, texts: Sequence[str]) -> tuple[CheckPrompt, ...]:
    """Texts as prompts, each once, with the training images that have them as caption."""
    captioned: dict[str, set[int]] = {text: set() for text in texts}
    for name in ("caption", "short_caption"):
        for position, caption in enumerate(corpus.column(name)):
            if caption in captioned:
                captioned[caption].add(position)
    return tuple(CheckPrompt(text, tuple(sorted(positions))) for text, positions in captioned.items())


def training_captions(corpus: Corpus, count: int, seed: int = 0) -> list[str]:
    """Up to `count` different training captions, drawn by lot: the short one where an image has two.

    Raises `InvalidInputError` for a count below 1, or where no image has a caption.
    """
    whole("captions", count, 1)
    pairs = zip(corpus.column("short_caption"), corpus.column("caption"), strict=True)
    known = sorted({text for short, long in pairs if (text := short or long)})
    if not known:
        raise InvalidInputError(f"no image of '{corpus.path}' has a caption; give prompts of your own.")
    chosen = np.random.default_rng(seed).permutation(len(known))[:count]
    return [known[i] for i in chosen]


class CheckFolder:
    """A folder that keeps what was drawn, for one model and one set of settings."""

    def __init__(self, path: Path | str) -> None:
        """Use `open` or `start`."""
        self.path = Path(path)

    @classmethod
    def start(cls, path: Path | str, settings: Mapping[str, Any]) -> CheckFolder:
        """Write the settings into a new folder, or go on in one that has the same.

        settings: as JSON has them. Raises `InvalidInputError` for a folder of other settings, or of other files.
        """
        folder = cls(path)
        file = folder.path / _SETTINGS
        if folder.path.exists() and not folder.path.is_dir():
            raise InvalidInputError(f"'{path}' is a file; give a folder for the images and the report.")
        if not file.exists():
            if folder.path.is_dir() and any(not p.name.startswith(".") for p in folder.path.iterdir()):
                raise InvalidInputError(f"'{path}' holds other files; give a new or empty folder.")
            write_json_atomic(file, dict(settings))
            return folder
        try:
            before = read_json(file)
            other = [key for key in settings if before[key] != settings[key]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"'{file}' is damaged; give another folder.") from error
        if other:
            raise InvalidInputError(
                f"'{path}' holds a check with another {other[0].replace('_', ' ')}; give another folder, or the "
                "settings of before."
            )
        return folder

    def file(self, prompt: int, seed: int) -> Path:
        """Where an image lies. prompt: its number, from 0."""
        return self.path / _IMAGES / f"{prompt + 1:05d}-{seed:04d}.png"

    def keep(self, prompt: int, seed: int, made: GeneratedImage) -> None:
        """Write an image with its recipe and noise signal, whole or not at all."""
        make_folder(self.path / _IMAGES)
        signal = () if made.noise_signal is None else made.noise_signal.steps
        notes = {_SIGNAL: " ".join(repr(step) for step in signal), "blacked_out": str(made.blacked_out)}
        file = png_bytes(made.image, {**made.recipe.to_dict(), **notes}, made.recipe.metadata().xmp())
        with atomic_path(self.file(prompt, seed)) as temporary:
            temporary.write_bytes(file)

    def read(self, prompt: int, seed: int) -> GeneratedImage:
        """What `keep` wrote. Raises `CheckpointError` for a damaged file."""
        file = self.file(prompt, seed)
        try:
            values = read_recipe(file) or {}
            signal = tuple(float(step) for step in str(values[_SIGNAL]).split())
            return GeneratedImage(
                read_image(file),
                Recipe.from_dict(values),
                noise_signal=NoiseSignal(signal) if signal else None,
                blacked_out=values["blacked_out"] == "True",
            )
        except (AttributionError, KeyError, ValueError) as error:
            raise CheckpointError(f"'{file}' is damaged; delete it, and it is drawn again.") from error


def check_model(
    generator: Generator,
    checker: Memorization,
    settings: CheckSettings,
    folder: Path | str,
    on_progress: OnProgress | None = None,
) -> Iterator[CheckedImage]:
    """Draw every prompt from every seed, seed by seed, and tell which images are copies; those in the folder stay.

    on_progress: of the images. Raises `InvalidInputError` where the collection has no copy encoder, for a folder of
    another model, and what the generator raises; nothing is written before the model is loaded.
    """
    token = "" if generator.adapter is None else generator.adapter.token
    if token and not any(token in prompt.text for prompt in settings.prompts):
        raise InvalidInputError(
            f"no prompt contains '{token}', the word of this textual inversion; write it into some."
        )
    _ = checker.index, generator.pipeline  # what cannot be used is said before anything is written
    kept = CheckFolder.start(folder, _settings_of(generator, checker.collection, settings))
    asked = [(k, seed) for seed in range(1, settings.seeds + 1) for k in range(len(settings.prompts))]
    missing = sum(not kept.file(*one).exists() for one in asked)
    resumed = done = settings.images - missing
    if on_progress:
        on_progress(Progress("drawing", done, settings.images, resumed=resumed))
    for start in range(0, len(asked), _BATCH):
        block = asked[start : start + _BATCH]
        new = [one for one in block if not kept.file(*one).exists()]
        drawn = generator.generate_batch(
            [settings.prompts[k].text for k, _ in new],
            [seed for _, seed in new],
            settings.steps,
            settings.guidance,
            _BATCH,
        )
        for one, made in zip(new, drawn, strict=True):
            kept.keep(*one, made)
        made_all = [kept.read(*one) for one in block]
        verdicts = checker.check_all([made.image for made in made_all])
        done += len(new)
        if on_progress:
            on_progress(Progress("drawing", done, settings.images, resumed=resumed))
        for (k, _), made, verdict in zip(block, made_all, verdicts, strict=True):
            yield CheckedImage(settings.prompts[k], made, verdict)


def _settings_of(generator: Generator, collection: Collection, settings: CheckSettings) -> dict[str, Any]:
    defaults = generator.defaults
    return {
        "model": generator.sha256,
        "collection": {"name": collection.name, "images": len(collection.index)},
        "prompts": [{"text": p.text, "captioned": list(p.captioned)} for p in settings.prompts],
        **{k: v for k, v in asdict(settings).items() if k != "prompts"},
        "steps": settings.steps or defaults.steps,
        "guidance": defaults.guidance if settings.guidance is None else settings.guidance,
    }
