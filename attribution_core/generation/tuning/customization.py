"""Custom Diffusion: teach a generator an object or style through its cross-attention and one new token.

Source: Kumari et al., CVPR 2023, as used by Wang et al., ICCV 2023 for add-one-in ground truth: only the
UNet's cross-attention key and value projections (`attn2.to_k`, `attn2.to_v`) and one token are tuned, without
regularisation images. A customization stores the differences from the original weights, a few megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.files import atomic_path, make_folder
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.generation.tuning.loop import (
    DEFAULTS,
    OBJECT_CAPTIONS,
    Subject,
    TuningSettings,
    TuningStep,
    prompt_for,
    tune,
)
from attribution_core.generation.tuning.pipeline_edits import TOKEN, key_value_weights, new_token, restore

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from attribution_core.generation.generator import Generator

_FILE = "customization.safetensors"
_KIND = "customization"


@dataclass(frozen=True)
class Customization:
    """The changes made by tuning. deltas: float16 difference of each K/V weight, by name. token_row: (d,) float16.

    losses: (steps,) float32. settings: of the tuning. generator_sha256: of the generator it was tuned on.
    """

    category: str
    generator: str
    generator_sha256: str
    deltas: Mapping[str, np.ndarray] = field(repr=False)
    token_row: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path | str) -> None:
        """Write `customization.safetensors` and `card.json`, each atomically."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        make_folder(folder)
        tensors = {
            **{f"delta.{k}": v for k, v in self.deltas.items()},
            "token_row": self.token_row,
            "losses": self.losses,
        }
        with atomic_path(folder / _FILE) as partial:
            save_file(tensors, partial)
        write_card(
            folder,
            {
                "kind": _KIND,
                "token": TOKEN,
                "category": self.category,
                "generator": self.generator,
                "generator_sha256": self.generator_sha256,
                "settings": dict(self.settings),
                "files": [_FILE],
            },
        )

    @classmethod
    def load(cls, folder: Path | str) -> Customization:
        """Read what `save` wrote. Raises `CheckpointError` if it is missing, damaged or not a customization."""
        from safetensors.numpy import load_file

        folder = Path(folder)
        card = read_card(folder)
        if card.get("kind") != _KIND:
            raise CheckpointError(f"'{folder}' holds '{card.get('kind')}'; expected a {_KIND}.")
        verify_files(folder)
        try:
            tensors = load_file(folder / _FILE)
            return cls(
                card["category"],
                card["generator"],
                card["generator_sha256"],
                {k.removeprefix("delta."): v for k, v in tensors.items() if k.startswith("delta.")},
                tensors["token_row"],
                tensors["losses"],
                card["settings"],
            )
        except (OSError, KeyError) as error:
            raise CheckpointError(
                f"'{folder}' is not a complete customization ({error}); tune again."
            ) from error


def customize(
    generator: Generator,
    images: Sequence[Image.Image],
    category: str,
    *,
    steps: int = 125,
    batch_size: int = 8,
    learning_rate: float | None = None,
    weight_decay: float = 1e-2,
    max_grad_norm: float = 1.0,
    captions: Sequence[str] = OBJECT_CAPTIONS,
    views: int = 64,
    seed: int = 0,
    precision: str = "float32",
    on_step: Callable[[TuningStep], None] | None = None,
) -> Customization:
    """Tune on images of one object or style; the generator itself is unchanged afterwards.

    images: the exemplars, RGB. category: words for what they show; the last word initialises the new token.
    learning_rate: None means 1e-3 for UNets below 100 M parameters, else the method's original 1e-5.
    captions: templates with {token} and {category}. views: number of flipped and resized views to draw.
    precision: "bfloat16" computes (not stores) in bfloat16, which is faster on hardware that supports it.
    on_step: progress; an exception from it aborts the tuning and propagates. The same seed gives the same result.
    Raises `InvalidInputError` for values out of range.
    """
    subject = Subject(images, category, captions, seed=seed)
    settings = TuningSettings(steps, batch_size, learning_rate, weight_decay, max_grad_norm, views, precision)
    return customize_many(generator, [subject], settings, on_step)[0]


def customize_many(
    generator: Generator,
    subjects: Sequence[Subject],
    settings: TuningSettings = DEFAULTS,
    on_step: Callable[[TuningStep], None] | None = None,
) -> list[Customization]:
    """Tune on several subjects independently, sharing each pass of the UNet.

    Each result equals tuning on that subject alone, up to rounding. Memory grows with subjects * batch_size.
    on_step: reports the mean loss over subjects. Raises `InvalidInputError` for values out of range.
    """
    if not subjects:
        raise InvalidInputError("customize needs at least one subject, given none.")
    with generator.lock:
        tunings, used = tune(generator.tunable, subjects, settings, on_step)
    return [
        Customization(
            subject.category,
            generator.name,
            generator.sha256,
            tuning.deltas,
            tuning.token_row,
            tuning.losses,
            {
                **asdict(used),
                "seed": subject.seed,
                "captions": list(subject.captions),
                "images": len(subject.images),
            },
        )
        for subject, tuning in zip(subjects, tunings, strict=True)
    ]


@contextmanager
def customized(generator: Generator, customization: Customization) -> Iterator[Generator]:
    """Apply a customization within the context; afterwards the generator is restored exactly.

    Prompts should contain `TOKEN` and the category ("a red <v*> cat"). Other threads wait until the context ends.
    Raises `CollectionMismatchError` if it was tuned on another generator, `AttributionError` if it has no effect on
    the UNet's output.
    """
    import torch

    with generator.lock:
        if customization.generator_sha256 != generator.sha256:
            raise CollectionMismatchError(
                f"this customization was tuned on generator '{customization.generator}' "
                f"({customization.generator_sha256[:12]}), not '{generator.name}' "
                f"({generator.sha256[:12]}); open that generator, or tune again."
            )
        pipeline = generator.tunable
        weights = key_value_weights(pipeline.unet)
        shapes = {name: delta.shape for name, delta in customization.deltas.items()}
        if {name: tuple(weight.shape) for name, weight in weights.items()} != shapes:
            raise CollectionMismatchError(
                "this customization does not match the names or shapes of the generator's cross-attention "
                "weights; tune again."
            )
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        row = torch.from_numpy(customization.token_row.astype(np.float32)).to(pipeline.device)
        with new_token(pipeline, row):
            probe = _probe(pipeline, customization.category)
            try:
                with torch.no_grad():
                    for name, weight in weights.items():
                        weight.add_(torch.from_numpy(customization.deltas[name]).to(weight))
                if torch.equal(probe, _probe(pipeline, customization.category)):
                    raise AttributionError(
                        "the customization changes nothing in the UNet's output; tune again with more steps or a "
                        "higher learning rate."
                    )
                yield generator
            finally:
                restore(weights, before)


def _probe(pipeline: Any, category: str) -> torch.Tensor:
    """Return the UNet's output for fixed noise and a prompt with the token."""
    import torch

    config, device = pipeline.unet.config, pipeline.device
    shape = (1, config.in_channels, config.sample_size, config.sample_size)
    with torch.no_grad():
        states = pipeline.encode_prompt([prompt_for("{token} {category}", category)], device, 1, False)[0]
        sample = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(0)).to(device)
        return pipeline.unet(sample, torch.tensor(500, device=device), encoder_hidden_states=states).sample
