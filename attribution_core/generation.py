"""Text-to-image generation with any Stable Diffusion pipeline, step by step and repeatable."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_core.cards import CARD_NAME, read_card, sha256_file
from attribution_core.errors import CheckpointError, InvalidInputError, MissingDependencyError
from attribution_core.images import save_png
from attribution_core.noise_signal import NoiseSignal, signals_of, tap_noise_signal
from attribution_core.previews import preview, tap_predicted_original
from attribution_core.recipe import Recipe

if TYPE_CHECKING:
    from PIL import Image

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True)
class StepPreview:
    """One denoising step: step counts from 1 to total; image is the predicted result, RGB at output size."""

    step: int
    total: int
    image: Image.Image


@dataclass(frozen=True)
class GeneratedImage:
    """A made image (RGB), its recipe, and sentences for the user about what the generator left aside.

    noise_signal: how strongly the words pulled on each step; None without guidance.
    """

    image: Image.Image
    recipe: Recipe
    notices: tuple[str, ...] = ()
    noise_signal: NoiseSignal | None = None

    def save(self, path: Path | str) -> None:
        """Write a PNG with the recipe in its text chunks."""
        save_png(self.image, Path(path), self.recipe.to_dict())


@dataclass(frozen=True)
class Defaults:
    """What a generator draws with unless told otherwise; its card's `default_steps` and `default_guidance`."""

    steps: int = 25
    guidance: float = 7.5


class Generator:
    """A Stable Diffusion pipeline that loads on first use; one image is made at a time."""

    def __init__(self, folder: Path | None, name: str, device: str) -> None:
        """Use `Generator.open`; folder None means that the pipeline is fetched from the hub by its name."""
        self.name = name
        self.device = device
        self.lock = threading.RLock()
        self._folder = folder
        self._counting = threading.Lock()
        self._sha256: str | None = None

    @classmethod
    def open(cls, path_or_name: Path | str, device: str = "auto") -> Generator:
        """Open a pipeline folder, or a name on the Hugging Face hub where one is in reach.

        path_or_name: a folder with `model_index.json`, or "owner/name". device: "auto" is CUDA where there is
        one, else the CPU. Nothing heavy is read before first use (or `load`).
        Raises `CheckpointError` where the folder holds no such pipeline.
        """
        path, text = Path(path_or_name), str(path_or_name)
        if (path / "model_index.json").is_file():
            _check_kind(path)
            return cls(path.resolve(), "/".join(path.resolve().parts[-2:]), device)
        if path.exists() or isinstance(path_or_name, Path) or not _HUB_NAME.fullmatch(text):
            raise CheckpointError(
                f"no generator in '{text}': expected a folder with model_index.json (a diffusers "
                "StableDiffusionPipeline) or a hub name such as 'owner/name'."
            )
        return cls(None, text, device)

    @property
    def folder(self) -> Path:
        """The pipeline's folder; a hub pipeline is downloaded (or found in the hub's cache) by this."""
        if self._folder is None:  # known folders are told while an image is being made, too
            with self.lock:
                if self._folder is None:
                    self._folder = _download(self.name)
        return self._folder

    @cached_property
    def defaults(self) -> Defaults:
        """Steps and guidance that suit this generator; reads its card, where it has one, and no weights."""
        card = {} if self._folder is None or not (self._folder / CARD_NAME).exists() else read_card(self._folder)
        return Defaults(card.get("default_steps", Defaults.steps), card.get("default_guidance", Defaults.guidance))

    @property
    def sha256(self) -> str:
        """One checksum of all weight files, which identifies the generator; counted once."""
        folder = self.folder  # before the lock: who holds that one must wait for no other
        with self._counting:
            if self._sha256 is None:
                digest = hashlib.sha256()
                files = (p for kind in ("*.safetensors", "*.bin") for p in folder.rglob(kind))
                for path in sorted(files):
                    digest.update(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n".encode())
                self._sha256 = digest.hexdigest()
            return self._sha256

    def load(self) -> Generator:
        """Load the weights now, so that the first image does not wait for them. Returns self."""
        _ = self.pipeline
        return self

    @property
    def pipeline(self) -> Any:
        """The diffusers `StableDiffusionPipeline`, float32, on the device; loaded once."""
        with self.lock:
            if "_pipeline" not in self.__dict__:
                self._pipeline = _load(self.folder, self.name, self.device)
            return self._pipeline

    def generate(
        self,
        prompt: str,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        on_step: Callable[[StepPreview], None] | None = None,
    ) -> GeneratedImage:
        """Make one image; the same arguments give the same pixels on the same machine.

        steps, guidance: None takes the generator's `defaults`. on_step: called after each step with a preview;
        what it raises ends the generation and is passed on, and the generator stays usable. Raises
        `InvalidInputError` for a value out of range (see `Recipe`).
        """
        return self._run([self._recipe(prompt, seed, steps, guidance)], on_step)[0]

    def generate_batch(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        steps: int | None = None,
        guidance: float | None = None,
        batch_size: int = 8,
    ) -> list[GeneratedImage]:
        """Make many images in batches, each from its own seed, for recipes.

        An image does not depend on its neighbours, but batched arithmetic may differ from `generate` by a
        rounding step in a few pixels. Raises `InvalidInputError` where prompts and seeds differ in number.
        """
        if len(prompts) != len(seeds) or batch_size < 1:
            raise InvalidInputError(
                f"generate_batch needs one seed for each prompt and a batch_size of at least 1, "
                f"given {len(prompts)} prompts, {len(seeds)} seeds, batch_size {batch_size}."
            )
        recipes = [self._recipe(p, s, steps, guidance) for p, s in zip(prompts, seeds, strict=True)]
        made: list[GeneratedImage] = []
        for start in range(0, len(recipes), batch_size):
            made += self._run(recipes[start : start + batch_size], None)
        return made

    def _run(
        self, recipes: list[Recipe], on_step: Callable[[StepPreview], None] | None
    ) -> list[GeneratedImage]:
        import torch

        with self.lock:
            pipeline = self.pipeline
            # Noise is drawn on the CPU, so that a seed means the same on every device.
            seeded = [torch.Generator("cpu").manual_seed(recipe.seed) for recipe in recipes]
            call = dict(
                prompt=[r.prompt for r in recipes],
                num_inference_steps=recipes[0].steps,
                guidance_scale=float(recipes[0].guidance),
                generator=seeded,
                output_type="pil",
            )
            with tap_noise_signal(pipeline, len(recipes)) as norms:
                result = _called(pipeline, call, on_step)
            flagged = result.nsfw_content_detected or [False] * len(recipes)
            return [
                GeneratedImage(image, self._signed(recipe), _notices(pipeline.tokenizer, recipe.prompt, bad), signal)
                for image, recipe, bad, signal in zip(
                    result.images, recipes, flagged, signals_of(norms, len(recipes)), strict=True)
            ]

    def _recipe(self, prompt: str, seed: int, steps: int | None, guidance: float | None) -> Recipe:
        usual = self.defaults
        return Recipe(prompt, seed, usual.steps if steps is None else steps,
                      usual.guidance if guidance is None else guidance)

    def _signed(self, recipe: Recipe) -> Recipe:
        return replace(recipe, generator=self.name, generator_sha256=self.sha256, software=_software())


def _called(pipeline: Any, call: dict[str, Any], on_step: Callable[[StepPreview], None] | None) -> Any:
    if on_step is None:
        return pipeline(**call)
    with tap_predicted_original(pipeline.scheduler) as last:

        def report(pipe: Any, index: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
            on_step(StepPreview(index + 1, pipe.num_timesteps, preview(pipe, last[0])))
            return {}

        return pipeline(**call, callback_on_step_end=report)


def resolve_device(device: str) -> str:
    """Where to compute: "auto" is "cuda" where there is one, else "cpu"; another name is passed on."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_kind(folder: Path) -> None:
    try:
        kind = json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("_class_name")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"'{folder / 'model_index.json'}' is not a pipeline's index ({error}); "
            "copy or make the generator again."
        ) from error
    if kind != "StableDiffusionPipeline":
        raise CheckpointError(f"'{folder}' holds a {kind}; expected a diffusers StableDiffusionPipeline.")


def _diffusers() -> Any:
    try:
        import diffusers
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "generating images needs torch, diffusers and transformers; install them "
            "with 'pip install -r requirements.txt'."
        ) from error
    return diffusers


def _download(name: str) -> Path:
    diffusers = _diffusers()
    try:
        folder = Path(diffusers.StableDiffusionPipeline.download(name))
    except Exception as error:
        raise CheckpointError(
            f"the generator '{name}' could not be fetched from the hub ({_first_line(error)}); check the "
            "name and the connection, or give the folder of a downloaded StableDiffusionPipeline."
        ) from error
    _check_kind(folder)
    return folder


def _load(folder: Path, name: str, device: str) -> Any:
    diffusers = _diffusers()
    import torch

    try:
        with _quiet():
            pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
                folder, torch_dtype=torch.float32, low_cpu_mem_usage=False, local_files_only=True
            )
    except Exception as error:
        raise CheckpointError(
            f"the generator '{name}' could not be loaded ({_first_line(error)}); copy or make "
            "its folder again."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    return pipeline.to(resolve_device(device))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' progress bars and their remarks on parts that they did not expect."""
    import diffusers.utils.logging
    import transformers.utils.logging

    modules = (diffusers.utils.logging, transformers.utils.logging)
    earlier = [(m, m.get_verbosity(), m.is_progress_bar_enabled()) for m in modules]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for module in modules:
            module.set_verbosity_error()
            module.disable_progress_bar()
        try:
            yield
        finally:
            for module, level, bar in earlier:
                module.set_verbosity(level)
                if bar:
                    module.enable_progress_bar()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _software() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("diffusers", "torch"))


def _notices(tokenizer: Any, prompt: str, flagged: bool) -> tuple[str, ...]:
    notices = []
    ids = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()
    if len(ids) > room:
        notices.append(
            f"The generator reads {room} tokens; it did not see the end of the prompt: "
            f"'{tokenizer.decode(ids[room:])}'."
        )
    unknown = tokenizer.unk_token_id
    # CLIP's tokenizer spells every word, and its "unknown" is the end mark.
    if (
        unknown is not None
        and unknown not in (tokenizer.eos_token_id, tokenizer.pad_token_id)
        and unknown in ids
    ):
        words = [w for w in prompt.split() if unknown in tokenizer(w, add_special_tokens=False)["input_ids"]]
        notices.append(f"The generator does not know: {', '.join(words)}.")
    if flagged:
        notices.append("The generator's own safety checker blacked out this image.")
    return tuple(notices)
