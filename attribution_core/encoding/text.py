"""The text side of encoders that have one: words to features that are compared with those of images.

`pocket-clip` was trained on images and captions together; its text side is the bundled generator's text encoder,
averaged over a text's tokens, times a matrix that ships beside the image tower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from attribution_core.common.cards import verify_files
from attribution_core.common.optional import import_optional
from attribution_core.encoding.encoders import ENCODERS, SHIPPED
from attribution_core.errors import CheckpointError, unknown_name
from attribution_core.settings import shipped

TEXT_SIDES = ("pocket-clip", "pocket-clip-rgb")
"""Encoders with a text side, by their names in `ENCODERS`."""
_MATRIX = "text.safetensors"
_TOKENS = 24  # as in training; what is longer is cut off
_NEEDED_FOR = "the search by meaning"


class TextEncoder:
    """A loaded text side. name, dim: of the encoder that it belongs to."""

    def __init__(self, name: str, dim: int, forward: Callable[[Sequence[str]], NDArray[np.float32]]) -> None:
        """forward: n texts -> (n, d) float32, d at most `dim`."""
        self.name, self.dim, self._forward = name, dim, forward

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Compute features of texts, to be compared by cosine with the encoder's raw features of images.

        The parts of an image's feature that no text describes, its colours, are zero. Returns (n, dim) float32.
        """
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        if texts:
            features = self._forward(texts)
            rows[:, : features.shape[1]] = features / np.linalg.norm(features, axis=1, keepdims=True)
        return rows


def load_text_encoder(
    name: str, checkpoints: Path | str | None = None, states: Path | str | None = None
) -> TextEncoder:
    """Load the text side of an encoder.

    name: one of `TEXT_SIDES`. checkpoints: as for `load_encoder`. states: the generator whose text encoder it builds
    on; default: that of the bundled collection. Raises `UnknownNameError`, `MissingDependencyError`, and
    `CheckpointError` where files are missing or differ from their card.
    """
    if name not in TEXT_SIDES:
        raise unknown_name("encoder with a text side", name, TEXT_SIDES)
    folder = Path(checkpoints or SHIPPED) / ENCODERS[name].weights
    generator = Path(states) if states else shipped("pocket") / "generator"
    for path in (folder / _MATRIX, generator / "text_encoder", generator / "tokenizer"):
        if not path.exists():
            raise CheckpointError(f"'{path}' is missing; the text side of '{name}' needs it.")
    verify_files(folder)
    torch, transformers = (import_optional(module, _NEEDED_FOR) for module in ("torch", "transformers"))
    matrix = torch.from_numpy(load_file(folder / _MATRIX)["text.weight"]).float()
    tokenizer = transformers.AutoTokenizer.from_pretrained(generator / "tokenizer")
    model = transformers.AutoModel.from_pretrained(
        generator / "text_encoder", add_pooling_layer=False, dtype=torch.float32
    ).eval()

    def forward(texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = tokenizer(
                list(texts), padding=True, max_length=_TOKENS, truncation=True, return_tensors="pt"
            )
            mask: Any = batch.attention_mask[..., None]
            hidden = model(batch.input_ids, attention_mask=batch.attention_mask)[0]
            return np.asarray((((hidden * mask).sum(1) / mask.sum(1)) @ matrix.T).numpy())

    return TextEncoder(name, ENCODERS[name].dim, forward)
