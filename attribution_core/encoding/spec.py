"""Rows of `ENCODERS`: preprocessing and network of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Normal = tuple[tuple[float, float, float], tuple[float, float, float]]
IMAGENET: Normal = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Normal = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPENAI: Normal = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


_LONGEST = 8  # times the shorter side; no crop reaches further, whatever the filter


@dataclass(frozen=True)
class Preprocess:
    """Preprocessing. resize: shorter side in px, or both sides with `squash`. crop: side of the centre crop in px.

    as_torchvision: round the longer side and the crop's position as torchvision does, so that inputs are bit-identical
    to those of networks trained with it. The bundled encoders predate this and round to nearest.
    """

    resize: int
    crop: int
    filter: str = "bicubic"  # "bicubic" or "bilinear"
    squash: bool = False
    mean: tuple[float, float, float] = HALF[0]
    std: tuple[float, float, float] = HALF[1]
    as_torchvision: bool = False

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Convert an RGB image to a normalised (3, crop, crop) float32 array."""
        image = self._middle(image)
        size = self._size(*image.size)
        if image.size != size:
            kind = Image.Resampling.BICUBIC if self.filter == "bicubic" else Image.Resampling.BILINEAR
            image = image.resize(size, kind)
        left, top = (
            round((side - self.crop) / 2) if self.as_torchvision else (side - self.crop) // 2 for side in size
        )
        image = image.convert("RGB").crop((left, top, left + self.crop, top + self.crop))
        values = np.asarray(image, dtype=np.float32) / 255.0
        normal = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(2, 0, 1), dtype=np.float32)

    def _middle(self, image: Image.Image) -> Image.Image:
        """Crop a very long image to its middle first, so that parts cropped later are not scaled up to gigabytes."""
        short, long = sorted(image.size)
        most = _LONGEST * short
        if self.squash or long <= most:
            return image
        start = (long - most) // 2
        wide = image.width == long
        return image.crop((start, 0, start + most, short) if wide else (0, start, short, start + most))

    def _size(self, width: int, height: int) -> tuple[int, int]:
        if self.squash:
            return self.resize, self.resize
        short = min(width, height)
        sides = [
            self.resize * side // short if self.as_torchvision else round(side * self.resize / short)
            for side in (width, height)
        ]
        return max(self.resize, sides[0]), max(self.resize, sides[1])


@dataclass(frozen=True)
class EncoderSpec:
    """One row of the table. dim: length of a feature. licence: of the weights; "" if not stated.

    weights: their folder, their name in a library, or the URL to fetch them from by hand. saved_as: file name of the
    latter, if not the URL's last part. options: more arguments for the library. half: a half precision in which the
    network is known to work.
    """

    name: str
    dim: int
    preprocess: Preprocess
    loader: str
    model: str
    weights: str
    licence: str
    paper: str
    offline: bool = False
    saved_as: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    half: str = "float16"

    @property
    def input_size(self) -> int:
        """Side of the square input in px."""
        return self.preprocess.crop

    @property
    def by_hand(self) -> bool:
        """Whether the weights are a file to be placed by hand."""
        return self.loader in ("moco", "aladin", "csd", "torchscript")

    @property
    def file(self) -> str:
        """Name of the weights' file, if they are placed by hand."""
        return self.saved_as or self.weights.rsplit("/", 1)[-1]
