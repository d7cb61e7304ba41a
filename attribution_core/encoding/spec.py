"""What a row of `ENCODERS` says: how a picture becomes an input, and what network reads it."""

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


_LONGEST = 8  # times the shorter side; the crop never reaches further, whatever its filter


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes an input. resize: shorter side in px, both sides where `squash`; crop: centre, px.

    as_torchvision: the longer side and the crop's place are rounded as torchvision rounds them, so that inputs equal
    those of networks that were made with it bit by bit. Rows that ship were made before, and round to the nearest.
    """

    resize: int
    crop: int
    filter: str = "bicubic"  # "bicubic" or "bilinear"
    squash: bool = False
    mean: tuple[float, float, float] = HALF[0]
    std: tuple[float, float, float] = HALF[1]
    as_torchvision: bool = False

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """RGB image -> (3, crop, crop) float32, normalised."""
        image = self._without_ends(image)
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

    def _without_ends(self, image: Image.Image) -> Image.Image:
        """The middle of a very long image: what is cropped away must not be scaled up first, to gigabytes."""
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
    """One row of the table. dim: length of a feature; licence: of the weights, "" where none is stated.

    weights: their folder, their name in a library, or where they are fetched from by hand. saved_as: their file's name
    then, where it is not the address's last part. options: more arguments for the library. half: the half precision
    that the network is known to compute in.
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
        """Whether the weights are a file that is put in place by hand."""
        return self.loader in ("moco", "aladin", "csd", "torchscript")

    @property
    def file(self) -> str:
        """Name of the weights' file, of rows whose weights are put in place by hand."""
        return self.saved_as or self.weights.rsplit("/", 1)[-1]
