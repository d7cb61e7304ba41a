"""Custom Diffusion: teach a generator one thing or style through its cross-attention and one new token.

Source: Kumari et al., CVPR 2023, as Wang et al., ICCV 2023 use it for add-one-in ground truth: only the
UNet's cross-attention key and value projections (`attn2.to_k`, `attn2.to_v`) and one token are tuned, without
regularisation images. What is learned is kept as differences, so that a customization is a few megabytes.
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
    """What tuning changed. deltas: name of a K/V weight -> float16 difference; token_row: (d,) float16.

    losses: (steps,) float32. settings: how it was tuned. generator_sha256 says which generator it fits.
    """

    category: str
    generator: str
    generator_sha256: str
    deltas: Mapping[str, np.ndarray] = field(repr=False)
    token_row: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path | str) -> None:
        """Write `customization.safetensors` and `card.json`; each appears whole or not at all."""
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
        """Read what `save` wrote. Raises `CheckpointError` where it is missing, damaged or something else."""
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
            raise CheckpointError(f"'{folder}' is no whole customization ({error}); tune again.") from error


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
    """Tune the generator on images of one thing or style; the generator itself is left as it was.

    images: the exemplars, RGB. category: what they show, in words; the last word starts the new token.
    learning_rate: None is 1e-3 for UNets below 100 M parameters, else 1e-5 (the method's original).
    captions: templates with {token} and {category}. views: how many flipped and resized views are drawn.
    precision: "bfloat16" computes (not stores) in bfloat16, faster where the processor has it.
    on_step: progress; what it raises ends the tuning and is passed on. The same seed gives the same result.
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
    """Tune on several subjects side by side, each apart from the others; one pass of the UNet serves them all.

    Each result is what tuning on that subject alone gives, up to rounding. Memory grows with subjects * batch_size.
    on_step: its loss is the subjects' mean. Raises `InvalidInputError` for values out of range.
    """
    if not subjects:
        raise InvalidInputError("customize needs at least one subject, given none.")
    with generator.lock:
        learned, used = tune(generator.tunable, subjects, settings, on_step)
    return [
        Customization(
            subject.category,
            generator.name,
            generator.sha256,
            tuned.deltas,
            tuned.token_row,
            tuned.losses,
            {
                **asdict(used),
                "seed": subject.seed,
                "captions": list(subject.captions),
                "images": len(subject.images),
            },
        )
        for subject, tuned in zip(subjects, learned, strict=True)
    ]


@contextmanager
def customized(generator: Generator, customization: Customization) -> Iterator[Generator]:
    """Within the context the generator knows the token `TOKEN`; afterwards it is exactly as it was.

    Prompts hold the token and the category ("a red <v*> cat"). Other threads wait until the context ends.
    Raises `CollectionMismatchError` where it was tuned on another generator, `AttributionError` where
    writing it changes nothing of what the UNet computes.
    """
    import torch

    with generator.lock:
        if customization.generator_sha256 != generator.sha256:
            raise CollectionMismatchError(
                f"this customization was tuned on generator '{customization.generator}' "
                f"({customization.generator_sha256[:12]}), given '{generator.name}' "
                f"({generator.sha256[:12]}); open that generator, or tune again."
            )
        pipeline = generator.tunable
        weights = key_value_weights(pipeline.unet)
        shapes = {name: delta.shape for name, delta in customization.deltas.items()}
        if {name: tuple(weight.shape) for name, weight in weights.items()} != shapes:
            raise CollectionMismatchError(
                "this customization does not name the generator's cross-attention "
                "weights, or in other shapes; tune again."
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
                        "the customization changes nothing of what the UNet computes; it holds "
                        "no differences, so tune again with more steps or a higher rate."
                    )
                yield generator
            finally:
                restore(weights, before)


def _probe(pipeline: Any, category: str) -> torch.Tensor:
    """What the UNet answers to fixed noise and a prompt with the token."""
    import torch

    config, device = pipeline.unet.config, pipeline.device
    shape = (1, config.in_channels, config.sample_size, config.sample_size)
    with torch.no_grad():
        states = pipeline.encode_prompt([prompt_for("{token} {category}", category)], device, 1, False)[0]
        sample = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(0)).to(device)
        return pipeline.unet(sample, torch.tensor(500, device=device), encoder_hidden_states=states).sample
