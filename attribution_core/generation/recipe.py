"""The recipe of a generated image: everything needed to reproduce it, validated and stored in its file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from attribution_core.common.cells import replace_surrogates
from attribution_core.credentials.iptc import GENERATED, AiMetadata
from attribution_core.errors import InvalidInputError

MAX_PROMPT = 10_000
"""Characters; the longest text encoders in use read 512 tokens."""
MAX_SEED = 2**32 - 1
MAX_STEPS = 200
MAX_GUIDANCE = 30.0


@dataclass(frozen=True)
class Recipe:
    """Everything needed to reproduce an image to the pixel on the same machine; stored in the PNG's text chunks.

    prompt: up to `MAX_PROMPT` characters; "" for an unconditional image. seed: 0 to `MAX_SEED`.
    steps: 1 to `MAX_STEPS`. guidance: guidance scale, 0 to `MAX_GUIDANCE`; up to 1 disables classifier-free guidance.
    generator: a name, never a path. generator_sha256: of its weights. software: versions of the libraries used.
    """

    prompt: str
    seed: int = 0
    steps: int = 25
    guidance: float = 3.5
    generator: str = ""
    generator_sha256: str = ""
    software: str = ""

    def __post_init__(self) -> None:
        """Raise an `InvalidInputError` that names the first value out of range."""
        if not isinstance(self.prompt, str):
            raise InvalidInputError(f"the prompt must be text, given {type(self.prompt).__name__}.")
        if replace_surrogates(self.prompt) != self.prompt:
            raise InvalidInputError(
                f"the prompt '{replace_surrogates(self.prompt)}' is not valid text; write it in UTF-8."
            )
        if len(self.prompt) > MAX_PROMPT:
            raise InvalidInputError(
                f"the prompt has {len(self.prompt):,} characters, more than the {MAX_PROMPT:,} allowed; shorten it."
            )
        _check_whole("seed", self.seed, 0, MAX_SEED)
        _check_whole("steps", self.steps, 1, MAX_STEPS)
        number = isinstance(self.guidance, (int, float)) and not isinstance(self.guidance, bool)
        if not number or not math.isfinite(self.guidance) or not 0 <= self.guidance <= MAX_GUIDANCE:
            raise InvalidInputError(
                f"guidance must be a number from 0 to {MAX_GUIDANCE:g}, given {self.guidance!r}."
            )

    def to_dict(self) -> dict[str, str]:
        """Return every field as text, as stored in PNG text chunks."""
        return {key: str(value) for key, value in asdict(self).items()}

    def metadata(self, prompt_writer: str = "", source_type: str = GENERATED) -> AiMetadata:
        """Return the IPTC properties of a picture made from it. prompt_writer: a name, or "" if it is not given."""
        weights = f"weights {self.generator_sha256[:12]}" if self.generator_sha256 else ""
        version = "; ".join(filter(None, (weights, self.software)))
        return AiMetadata(source_type, self.generator, version, self.prompt, prompt_writer)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` wrote; other keys are ignored.

        Raises `InvalidInputError` if the prompt is missing or a number is malformed.
        """
        if "prompt" not in values:
            raise InvalidInputError(f"a recipe needs at least 'prompt', given {sorted(values)}.")
        known = {key: str(values[key]) for key in cls.__dataclass_fields__ if key in values}
        kinds: dict[str, Callable[[str], Any]] = {"seed": int, "steps": int, "guidance": float}
        try:
            return cls(**{key: kinds.get(key, str)(value) for key, value in known.items()})
        except ValueError as error:
            raise InvalidInputError(
                f"not a readable recipe ({error}); expected whole numbers for seed and steps "
                "and a number for guidance."
            ) from error


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidInputError(f"{name} must be a whole number from {low} to {high}, given {value!r}.")
