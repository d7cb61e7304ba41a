"""Pictures of where two images agree and differ, for pages and reports."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_HOT = np.array([214.0, 39.0, 40.0])
_LEAST_FALL = 0.05  # of similarity: below, a map stays pale instead of blowing up noise
_DIFFERENT = 96.0  # 8-bit steps at which the difference map is darkest
SIDE = 320  # px of the pictures


def heat(image: Image.Image, falls: NDArray[np.float64], most: float, side: int = SIDE) -> Image.Image:
    """The centre square of an image in pale grey, redder where covering it costs more similarity.

    falls: (c, c) as of `OcclusionMaps`. most: the fall that is drawn reddest, the same for both images of a pair.
    """
    pale = (
        np.asarray(
            ImageOps.fit(image.convert("L").convert("RGB"), (side, side), Image.Resampling.BICUBIC),
            dtype=np.float64,
        )
        * 0.6
        + 255 * 0.4
    )
    scaled = np.clip(falls / max(most, _LEAST_FALL), 0, 1).astype(np.float32)
    smooth = np.asarray(
        Image.fromarray(scaled).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64
    )
    weight = 0.8 * np.clip(smooth, 0, 1)[..., None]
    return Image.fromarray((pale * (1 - weight) + _HOT * weight).round().astype(np.uint8))


def difference(values: NDArray[np.float64], side: int = SIDE) -> Image.Image:
    """A difference map: white where two images are the same, dark where they differ by 96 steps of 255 or more.

    values: (s, s) root mean square difference of each pixel, in 8-bit steps.
    """
    grey = 255 * (1 - np.clip(values / _DIFFERENT, 0, 1))
    return (
        Image.fromarray(grey.round().astype(np.uint8))
        .resize((side, side), Image.Resampling.NEAREST)
        .convert("RGB")
    )


def shown(image: Image.Image, side: int = SIDE) -> Image.Image:
    """The centre square of an image at the size of the other pictures."""
    return ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
