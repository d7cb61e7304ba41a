"""What a program may bring along in place of what this library has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class ImageEncoder(Protocol):
    """Anything that turns images into features: what `load_encoder` gives, or an encoder of one's own.

    name: it is written into what is made with the encoder, and compared when that is used again; name and weights must
    belong together. dim: length of a feature.
    """

    @property
    def name(self) -> str:
        """Letters, digits, hyphens."""

    @property
    def dim(self) -> int:
        """Length of a feature."""

    def encode(self, images: Sequence[Image.Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """(n, dim) float32 of n RGB images of any size, neither mapped nor normalised; no value NaN or infinite."""
