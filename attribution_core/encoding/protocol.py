"""The protocol that custom encoders implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class ImageEncoder(Protocol):
    """Anything that turns images into features: a result of `load_encoder`, or your own encoder.

    name: saved with everything built from its features and compared on reuse, so give other weights another name.
    dim: length of a feature.
    """

    @property
    def name(self) -> str:
        """Letters, digits, hyphens."""

    @property
    def dim(self) -> int:
        """Length of a feature."""

    def encode(self, images: Sequence[Image.Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Return (n, dim) finite float32 features of n RGB images of any size, neither mapped nor normalised."""
