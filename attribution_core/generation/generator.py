"""Text-to-image generation with any diffusers pipeline of `PIPELINES`, step by step and repeatable."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_core.common.cards import CARD_NAME, read_card
from attribution_core.common.devices import free_memory, has_bfloat16, memory_errors, pick_device
from attribution_core.common.files import sha256_file
from attribution_core.common.images import save_png
from attribution_core.errors import CheckpointError, InvalidInputError, unknown_name
from attribution_core.generation.loading import check_kind, diffusers_library, download, load_pipeline, quiet
from attribution_core.generation.memory import MemoryPlan, native_side, plan_memory, weight_counts
from attribution_core.generation.noise_signal import NoiseSignal, signals_of, tap_noise_signal
from attribution_core.generation.previews import preview, tap_predicted_original
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.table import GENERATORS, PIPELINES, Defaults, find, licence_notice
from attribution_core.settings import shipped

if TYPE_CHECKING:
    from PIL import Image

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
BLACKED_OUT = (
    "The generator's own safety checker took this image for unsafe and blacked it out, so nothing about its "
    "influences can be learned from it; try another seed or other words."
)
_LESS = (
    "close other programs, make fewer images at a time, or choose a smaller generator such as 'sd-turbo' (see the "
    "command 'generators')"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StepPreview:
    """One denoising step: step counts from 1 to total; image is the predicted result, RGB at output size."""

    step: int
    total: int
    image: Image.Image


@dataclass(frozen=True)
class GeneratedImage:
    """A made image (RGB), its recipe, and sentences for the user about what the generator left aside.

    noise_signal: how strongly the words pulled on each step; None without guidance. blacked_out: whether the
    generator's safety checker did so, which `notices` say, too.
    """

    image: Image.Image
    recipe: Recipe
    notices: tuple[str, ...] = ()
    noise_signal: NoiseSignal | None = None
    blacked_out: bool = False

    def save(self, path: Path | str) -> None:
        """Write a PNG with the recipe in its text chunks."""
        save_png(self.image, Path(path), self.recipe.to_dict())


class Generator:
    """A text-to-image pipeline that loads on first use; one image is made at a time."""

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
        """Open a generator by its name in `GENERATORS`, a pipeline folder, or a name on the Hugging Face hub.

        path_or_name: "sd-1.5", a folder with `model_index.json`, or "owner/name". device: see `pick_device`. Nothing
        heavy is read, and nothing fetched, before first use (or `load`); see `licence_notice` before that.
        Raises `CheckpointError` where the folder holds no such pipeline, `UnknownNameError` for a name in no row.
        """
        path, text = Path(path_or_name), str(path_or_name)
        spec = None if isinstance(path_or_name, Path) else find(text)
        if spec is not None and not spec.hub:
            path = shipped("pocket") / "generator"
        if (path / "model_index.json").is_file():
            check_kind(path)
            return cls(path.resolve(), "/".join(path.resolve().parts[-2:]), device)
        if spec is not None:
            return cls(None, spec.hub, device)
        if not isinstance(path_or_name, Path) and not path.exists() and re.fullmatch(r"[\w.-]+", text):
            raise unknown_name("generator", text, GENERATORS)
        if path.exists() or isinstance(path_or_name, Path) or not _HUB_NAME.fullmatch(text):
            raise CheckpointError(
                f"no generator in '{text}': expected a folder with model_index.json (a diffusers pipeline), a name "
                "that the command 'generators' lists, or a hub name such as 'owner/name'."
            )
        return cls(None, text, device)

    @property
    def licence_notice(self) -> str:
        """What to know before `load` fetches it from the hub; "" where it is here already."""
        if self._folder is not None:
            return ""
        from huggingface_hub import try_to_load_from_cache

        return (
            ""
            if isinstance(try_to_load_from_cache(self.name, "model_index.json"), str)
            else licence_notice(self.name)
        )

    @property
    def folder(self) -> Path:
        """The pipeline's folder; a hub pipeline is downloaded (or found in the hub's cache) by this."""
        if self._folder is None:  # known folders are told while an image is being made, too
            with self.lock:
                if self._folder is None:
                    self._folder = download(self.name)
        return self._folder

    @cached_property
    def defaults(self) -> Defaults:
        """Steps and guidance that suit this generator, by its card, its row or its kind; reads no weights."""
        spec = find(self.name)
        if spec is not None and spec.defaults is not None:
            return spec.defaults
        if self._folder is None:
            return Defaults()
        card = read_card(self._folder) if (self._folder / CARD_NAME).exists() else {}
        usual = PIPELINES[check_kind(self._folder)]
        return Defaults(card.get("default_steps", usual.steps), card.get("default_guidance", usual.guidance))

    @property
    def sha256(self) -> str:
        """One checksum of all weight files, which identifies the generator; counted once."""
        folder = self.folder  # before the lock: who holds that one must wait for no other
        with self._counting:
            if self._sha256 is None:
                digest = hashlib.sha256()
                files = (p for kind in ("*.safetensors", "*.bin") for p in folder.rglob(kind))
                for path in sorted(files):
                    digest.update(f"{path.relative_to(folder).as_posix()} {_sha256(path)}\n".encode())
                self._sha256 = digest.hexdigest()
            return self._sha256

    def load(self) -> Generator:
        """Load the weights now, so that the first image does not wait for them. Returns self."""
        _ = self.pipeline
        return self

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline, on the device, as `plan` says; loaded once.

        Raises `NotEnoughMemoryError` where it does not fit, `CheckpointError` where it cannot be fetched or read.
        """
        with self.lock:
            if "_pipeline" not in self.__dict__:
                diffusers_library()  # without it, nothing else is worth a message
                place = pick_device(self.device)
                with memory_errors(f"the generator '{self.name}' was being loaded", _LESS):
                    self._pipeline = load_pipeline(self.folder, self.name, place, self.plan)
            return self._pipeline

    @cached_property
    def plan(self) -> MemoryPlan:
        """How it is made to fit into the memory that was free when this was first asked."""
        place, folder = pick_device(self.device), self.folder
        half = "bfloat16" if (folder / "transformer").is_dir() and has_bfloat16(place) else "float16"
        return plan_memory(
            weight_counts(folder), native_side(folder), place, free_memory(place), free_memory("cpu"), half
        )

    @property
    def tunable(self) -> Any:
        """The pipeline, for what changes its weights: tuning and a second opinion.

        Raises `InvalidInputError` where that is not known to work: other networks than Stable Diffusion 1 and 2, or
        half precision.
        """
        pipeline = self.pipeline
        kind = type(pipeline).__name__
        if kind != "StableDiffusionPipeline":
            raise InvalidInputError(
                f"tuning and a second opinion change a StableDiffusionPipeline (Stable Diffusion 1 "
                f"and 2, or the pocket generator); '{self.name}' is a {kind}."
            )
        if self.plan.precision != "float32":
            raise InvalidInputError(
                f"tuning and a second opinion need float32, for which the memory that was free did "
                f"not suffice for '{self.name}'; free memory and start again, or use device 'cpu'."
            )
        return pipeline

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
            call: dict[str, Any] = dict(
                prompt=[r.prompt for r in recipes],
                num_inference_steps=recipes[0].steps,
                guidance_scale=float(recipes[0].guidance),
                generator=seeded,
                output_type="pil",
            )
            spec = find(self.name)
            if spec is not None and spec.text_tokens:
                call["max_sequence_length"] = spec.text_tokens
            with (
                quiet(),
                tap_noise_signal(pipeline, len(recipes)) as norms,
                memory_errors(f"'{self.name}' was making {len(recipes)} at a time", _LESS),
            ):
                result = _called(pipeline, call, on_step)
            flagged = getattr(result, "nsfw_content_detected", None) or [False] * len(recipes)
            room = call.get("max_sequence_length", 0)
            return [
                GeneratedImage(
                    image,
                    self._signed(recipe),
                    _notices(pipeline, recipe.prompt, bad, room),
                    signal,
                    bool(bad),
                )
                for image, recipe, bad, signal in zip(
                    result.images, recipes, flagged, signals_of(norms, len(recipes)), strict=True
                )
            ]

    def _recipe(self, prompt: str, seed: int, steps: int | None, guidance: float | None) -> Recipe:
        usual = self.defaults
        return Recipe(
            prompt,
            seed,
            usual.steps if steps is None else steps,
            usual.guidance if guidance is None else guidance,
        )

    def _signed(self, recipe: Recipe) -> Recipe:
        return replace(recipe, generator=self.name, generator_sha256=self.sha256, software=_software())


def _called(pipeline: Any, call: dict[str, Any], on_step: Callable[[StepPreview], None] | None) -> Any:
    if on_step is None:
        return pipeline(**call)
    with tap_predicted_original(pipeline.scheduler) as last:

        def report(pipe: Any, index: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
            on_step(StepPreview(index + 1, len(pipe.scheduler.timesteps), preview(pipe, last[0])))
            return {}

        if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:
            return pipeline(**call, callback_on_step_end=report)
        return pipeline(
            **call, callback=lambda index, timestep, latents: report(pipeline, index, timestep, {})
        )


def _sha256(path: Path) -> str:
    """Of a file; the hub's cache names large files by it, which spares reading them."""
    name = path.resolve().name
    return name if path.is_symlink() and _SHA256.fullmatch(name) else sha256_file(path)


def _software() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("diffusers", "torch"))


def _notices(pipeline: Any, prompt: str, flagged: bool, room: int = 0) -> tuple[str, ...]:
    """Sentences for the user. room: most tokens that the text encoders were asked for, 0 for their usual number."""
    notices = []
    tokenizers = [
        t for t in (getattr(pipeline, n, None) for n in ("tokenizer", "tokenizer_2", "tokenizer_3")) if t
    ]
    asked = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    most = room or (asked.default if asked else 0)

    def reads(tokenizer: Any) -> int:
        # T5 may read more than the pipelines ask of it, CLIP always reads as much as it can.
        longest = int(tokenizer.model_max_length)
        return min(longest, most) if most and longest > 77 else longest

    tokenizer = max(tokenizers, key=reads)
    ids = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    left = reads(tokenizer) - tokenizer.num_special_tokens_to_add()
    if len(ids) > left:
        notices.append(
            f"The generator reads {left} tokens; it did not see the end of the prompt: "
            f"'{tokenizer.decode(ids[left:])}'."
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
        notices.append(BLACKED_OUT)
    return tuple(notices)
