"""Reproducible text-to-image generation with any diffusers pipeline in `PIPELINES`, with previews of each step."""

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
from attribution_core.common.files import atomic_path
from attribution_core.common.images import jpeg_bytes, png_bytes, webp_bytes
from attribution_core.errors import CheckpointError, InvalidInputError, unknown_name
from attribution_core.generation.adapters import Adapter
from attribution_core.generation.loading import check_kind, diffusers_library, download, load_pipeline, quiet
from attribution_core.generation.memory import MemoryPlan, native_side, plan_memory, weight_counts
from attribution_core.generation.noise_signal import NoiseSignal, signals_of, tap_noise_signal
from attribution_core.generation.previews import preview, tap_predicted_original
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.table import GENERATORS, PIPELINES, Defaults, find, licence_notice
from attribution_core.generation.weights import weights_sha256
from attribution_core.settings import shipped

if TYPE_CHECKING:
    from PIL import Image

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
BLACKED_OUT = (
    "The generator's safety checker flagged this image as unsafe and blacked it out, so its influences cannot be "
    "determined; try another seed or prompt."
)
_SAVE_MEMORY = (
    "close other programs, generate fewer images at a time, or choose a smaller generator such as 'sd-turbo' (see the "
    "command 'generators')"
)


@dataclass(frozen=True)
class StepPreview:
    """A denoising step, counted from 1 to total. image: the predicted result, RGB at output size.

    noise_signal: how strongly the text steered each step until now; None without guidance.
    """

    step: int
    total: int
    image: Image.Image
    noise_signal: NoiseSignal | None = None


@dataclass(frozen=True)
class GeneratedImage:
    """A generated image (RGB) with its recipe.

    notices: sentences for the user, such as about parts of the prompt that were ignored. noise_signal: how strongly
    the text steered each step; None without guidance. blacked_out: whether the generator's safety checker blacked the
    image out; `notices` then says so.
    """

    image: Image.Image
    recipe: Recipe
    notices: tuple[str, ...] = ()
    noise_signal: NoiseSignal | None = None
    blacked_out: bool = False

    def save(self, path: Path | str) -> None:
        """Write the file that `encode` gives for the ending of `path`, atomically."""
        with atomic_path(path) as temporary:
            temporary.write_bytes(self.encode(kind_for(path)))

    def encode(self, kind: str = "png", prompt_writer: str = "") -> bytes:
        """Encode the image with its recipe and IPTC metadata. kind: "png", "jpeg" or "webp"."""
        recipe, metadata = self.recipe.to_dict(), self.recipe.metadata(prompt_writer)
        if kind == "png":
            return png_bytes(self.image, recipe, metadata.xmp())
        return {"jpeg": jpeg_bytes, "webp": webp_bytes}[kind](self.image, metadata.xmp(recipe))


def kind_for(path: Path | str) -> str:
    """Return the format that a file's ending asks for: "jpeg", "webp", or else "png"."""
    return {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(Path(path).suffix.lower(), "png")


class Generator:
    """A text-to-image pipeline that loads on first use; a lock serialises its calls."""

    def __init__(self, folder: Path | None, name: str, device: str, adapter: Adapter | None = None) -> None:
        """Use `Generator.open` instead. folder: None to fetch the pipeline from the hub by its name."""
        self.name = name
        self.device = device
        self.adapter = adapter
        self.lock = threading.RLock()
        self._folder = folder

    @classmethod
    def open(
        cls, path_or_name: Path | str, device: str = "auto", adapter: Adapter | None = None
    ) -> Generator:
        """Open a generator by its name in `GENERATORS`, a pipeline folder, or a name on the Hugging Face hub.

        path_or_name: "sd-1.5", a folder with `model_index.json`, or "owner/name". device: see `pick_device`. adapter:
        a LoRA or textual inversion to load with it. Weights are fetched and read on first use or by `load`; show
        `licence_notice` before that.
        Raises `CheckpointError` if the folder holds no supported pipeline, `UnknownNameError` for an unknown name.
        """
        path, text = Path(path_or_name), str(path_or_name)
        spec = None if isinstance(path_or_name, Path) else find(text)
        if spec is not None and not spec.hub:
            path = shipped("pocket") / "generator"
        if (path / "model_index.json").is_file():
            check_kind(path)
            return cls(path.resolve(), "/".join(path.resolve().parts[-2:]), device, adapter)
        if spec is not None:
            return cls(None, spec.hub, device, adapter)
        if not isinstance(path_or_name, Path) and not path.exists() and re.fullmatch(r"[\w.-]+", text):
            raise unknown_name("generator", text, GENERATORS)
        if path.exists() or isinstance(path_or_name, Path) or not _HUB_NAME.fullmatch(text):
            raise CheckpointError(
                f"'{text}' is not a generator; expected a folder with model_index.json (a diffusers pipeline), a name "
                "that the command 'generators' lists, or a hub name such as 'owner/name'."
            )
        return cls(None, text, device, adapter)

    @property
    def title(self) -> str:
        """Its name, with that of its LoRA or textual inversion: "checkpoints/pocket + my-style"."""
        return self.name if self.adapter is None else f"{self.name} + {self.adapter.name}"

    @property
    def licence_notice(self) -> str:
        """The licence notice to show before `load` fetches from the hub; "" if it is already on this machine."""
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
        """The pipeline's folder; the first access downloads a hub pipeline or finds it in the hub's cache."""
        if self._folder is None:  # without the lock, a known folder can be read during a generation
            with self.lock:
                if self._folder is None:
                    self._folder = download(self.name)
        return self._folder

    @cached_property
    def defaults(self) -> Defaults:
        """Default steps and guidance, from the generator's row, its card or its kind; reads no weights."""
        spec = find(self.name)
        if spec is not None and spec.defaults is not None:
            return spec.defaults
        if self._folder is None:
            return Defaults()
        card = read_card(self._folder) if (self._folder / CARD_NAME).exists() else {}
        usual = PIPELINES[check_kind(self._folder)]
        return Defaults(card.get("default_steps", usual.steps), card.get("default_guidance", usual.guidance))

    @cached_property
    def sha256(self) -> str:
        """One checksum over all weight files, which identifies the generator; computed once."""
        base = weights_sha256(self.folder)
        if self.adapter is None:
            return base
        return hashlib.sha256(f"{base} {self.adapter.sha256}".encode()).hexdigest()

    def load(self) -> Generator:
        """Load the weights now rather than with the first image. Returns self."""
        _ = self.pipeline
        return self

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline, loaded once onto the device according to `plan`.

        Raises `NotEnoughMemoryError` if it does not fit, `CheckpointError` if it cannot be fetched or read.
        """
        with self.lock:
            if "_pipeline" not in self.__dict__:
                diffusers_library()  # without it, nothing else is worth a message
                device = pick_device(self.device)
                with memory_errors(f"the generator '{self.name}' was being loaded", _SAVE_MEMORY):
                    self._pipeline = load_pipeline(self.folder, self.name, device, self.plan, self.adapter)
            return self._pipeline

    @cached_property
    def plan(self) -> MemoryPlan:
        """How the generator fits into memory, given what was free on first access."""
        device, folder = pick_device(self.device), self.folder
        half = "bfloat16" if (folder / "transformer").is_dir() and has_bfloat16(device) else "float16"
        return plan_memory(
            weight_counts(folder), native_side(folder), device, free_memory(device), free_memory("cpu"), half
        )

    @property
    def tunable(self) -> Any:
        """The pipeline, for tuning and second opinions, which change its weights.

        Raises `InvalidInputError` where these are unsupported: networks other than Stable Diffusion 1 and 2, or half
        precision.
        """
        pipeline = self.pipeline
        kind = type(pipeline).__name__
        if kind != "StableDiffusionPipeline":
            raise InvalidInputError(
                f"tuning and second opinions support a StableDiffusionPipeline only (Stable Diffusion 1 "
                f"and 2, or the pocket generator); '{self.name}' is a {kind}."
            )
        if self.plan.precision != "float32":
            raise InvalidInputError(
                f"tuning and second opinions need float32, and there was not enough free memory to load "
                f"'{self.name}' in it; free memory and start again, or use device 'cpu'."
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
        """Generate an image; the same arguments give the same pixels on the same machine.

        steps, guidance: None uses the generator's `defaults`. on_step: called after each step with a preview; an
        exception from it aborts the generation and propagates, and the generator stays usable. Raises
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
        """Generate many images in batches, each from its own seed.

        An image does not depend on its batch, but rounding in batched arithmetic may change a few pixels by one
        level compared with `generate`. Raises `InvalidInputError` if the numbers of prompts and seeds differ.
        """
        if len(prompts) != len(seeds) or batch_size < 1:
            raise InvalidInputError(
                f"generate_batch needs one seed for each prompt and a batch_size of at least 1, "
                f"given {len(prompts)} prompts, {len(seeds)} seeds, batch_size {batch_size}."
            )
        recipes = [self._recipe(p, s, steps, guidance) for p, s in zip(prompts, seeds, strict=True)]
        images: list[GeneratedImage] = []
        for start in range(0, len(recipes), batch_size):
            images += self._run(recipes[start : start + batch_size], None)
        return images

    def _run(
        self, recipes: list[Recipe], on_step: Callable[[StepPreview], None] | None
    ) -> list[GeneratedImage]:
        import torch

        with self.lock:
            pipeline = self.pipeline
            # Noise is drawn on the CPU, so that a seed gives the same noise on every device.
            rngs = [torch.Generator("cpu").manual_seed(recipe.seed) for recipe in recipes]
            call: dict[str, Any] = dict(
                prompt=[r.prompt for r in recipes],
                num_inference_steps=recipes[0].steps,
                guidance_scale=float(recipes[0].guidance),
                generator=rngs,
                output_type="pil",
            )
            spec = find(self.name)
            if spec is not None and spec.text_tokens:
                call["max_sequence_length"] = spec.text_tokens
            with (
                quiet(),
                tap_noise_signal(pipeline, len(recipes)) as norms,
                memory_errors(f"'{self.name}' was generating {len(recipes)} at a time", _SAVE_MEMORY),
            ):
                result = _call_pipeline(pipeline, call, norms, on_step)
            flagged = getattr(result, "nsfw_content_detected", None) or [False] * len(recipes)
            text_tokens = call.get("max_sequence_length", 0)
            return [
                GeneratedImage(
                    image,
                    self._with_provenance(recipe),
                    _notices(pipeline, recipe.prompt, bad, text_tokens),
                    signal,
                    bool(bad),
                )
                for image, recipe, bad, signal in zip(
                    result.images, recipes, flagged, signals_of(norms, len(recipes)), strict=True
                )
            ]

    def _recipe(self, prompt: str, seed: int, steps: int | None, guidance: float | None) -> Recipe:
        defaults = self.defaults
        return Recipe(
            prompt,
            seed,
            defaults.steps if steps is None else steps,
            defaults.guidance if guidance is None else guidance,
        )

    def _with_provenance(self, recipe: Recipe) -> Recipe:
        return replace(recipe, generator=self.title, generator_sha256=self.sha256, software=_software())


def _call_pipeline(
    pipeline: Any, call: dict[str, Any], norms: list[Any], on_step: Callable[[StepPreview], None] | None
) -> Any:
    """Make images; `on_step` is told of the first. norms: of `tap_noise_signal`, filled meanwhile."""
    if on_step is None:
        return pipeline(**call)
    with tap_predicted_original(pipeline.scheduler) as last:

        def report(pipe: Any, index: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
            signal = signals_of(norms, 1)[0]
            on_step(StepPreview(index + 1, len(pipe.scheduler.timesteps), preview(pipe, last[0]), signal))
            return {}

        if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:
            return pipeline(**call, callback_on_step_end=report)
        return pipeline(
            **call, callback=lambda index, timestep, latents: report(pipeline, index, timestep, {})
        )


def _software() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("diffusers", "torch"))


def _notices(pipeline: Any, prompt: str, flagged: bool, text_tokens: int = 0) -> tuple[str, ...]:
    """Return sentences for the user. text_tokens: limit passed to the text encoders; 0 for the pipeline's default."""
    notices = []
    tokenizers = [
        t for t in (getattr(pipeline, n, None) for n in ("tokenizer", "tokenizer_2", "tokenizer_3")) if t
    ]
    parameter = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    most = text_tokens or (parameter.default if parameter else 0)

    def capacity(tokenizer: Any) -> int:
        # Pipelines limit T5 to fewer tokens than it can read; CLIP is always used at its full length of 77.
        longest = int(tokenizer.model_max_length)
        return min(longest, most) if most and longest > 77 else longest

    tokenizer = max(tokenizers, key=capacity)
    ids = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    room = capacity(tokenizer) - tokenizer.num_special_tokens_to_add()
    if len(ids) > room:
        notices.append(
            f"The generator reads {room} tokens; it ignored the end of the prompt: '{tokenizer.decode(ids[room:])}'."
        )
    unknown = tokenizer.unk_token_id
    # CLIP's tokenizer can spell any word; its "unknown" token is the end-of-text token.
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
