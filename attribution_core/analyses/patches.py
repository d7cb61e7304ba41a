"""Attribution by patches: which training images an ideal denoiser would look at, place by place, without any training.

Given a noisy image, the best estimate of the clean one is a mean of all training images, each weighted by how well it
explains what is seen. Applied to a small window around every place, the weights say which training images each part
of an image resembles (Kamb and Ganguli, *An analytic theory of creativity in convolutional diffusion models*, ICML
2025). Attribution by these weights is nonparametric: it knows the training set, and no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.common.arrays import whole
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import InvalidInputError

SIZES = (3, 7, 15)
"""Sides of the windows whose weights are averaged."""
SIDE = 32
"""Pixels of the sides that images are compared at."""
NOISE = 1.0
"""Chosen by `pocket.counterfactual` on some of its models; pixels are in [-1, 1]."""
MOST = 20_000
"""Training images: an answer for so many takes seconds and two gigabytes."""


@dataclass(frozen=True, eq=False)
class PatchAttribution:
    """The training images with the largest weight in one image.

    Attributes:
        ids: (k,) their positions, the largest weight first.
        weight: (k,) the mean over all places; those of all training images sum to 1.
        maps: (k, SIDE, SIDE) the weight at each place.
    """

    ids: NDArray[np.int64]
    weight: NDArray[np.float64]
    maps: NDArray[np.float32] = field(repr=False)

    @property
    def others(self) -> float:
        """The weight of all other training images together."""
        return max(0.0, 1.0 - float(self.weight.sum()))


class PatchAttributor:
    """Finds the training images whose patches an image resembles."""

    def __init__(self, corpus: Corpus) -> None:
        """Read all images, small. Raises `InvalidInputError` if there are more than `MOST`, `InvalidImageError`."""
        if len(corpus) > MOST:
            raise InvalidInputError(
                f"patches are compared with {MOST:,} training images at most; there are {len(corpus):,}."
            )
        self._training = small(corpus.image(position) for position in range(len(corpus)))

    def attribute(self, image: Image.Image, top: int = 8) -> PatchAttribution:
        """Return the `top` training images with the largest weight. Raises `InvalidInputError` if top is no count."""
        whole("top", top, 1)
        weights = patch_weights(small([image])[0], self._training, NOISE)
        mean = weights.mean(axis=(1, 2), dtype=np.float64)
        ids = np.argsort(-mean, kind="stable")[:top]
        return PatchAttribution(ids, mean[ids], weights[ids])


def small(images: Iterable[Image.Image]) -> NDArray[np.float32]:
    """Return images as patches compare them, (n, SIDE, SIDE, 3) in [-1, 1]."""
    resized = (image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for image in images)
    return np.stack([np.asarray(image, np.uint8) for image in resized]).astype(np.float32) / 127.5 - 1


def patch_weights(
    image: NDArray[np.float32], training: NDArray[np.float32], noise: float, sizes: Sequence[int] = SIZES
) -> NDArray[np.float32]:
    """Return the weight of each training image at each place, (n, h, w); at every place they sum to 1.

    Args:
        image: (h, w, c) any range.
        training: (n, h, w, c) in the same range.
        noise: Standard deviation of the noise through which a window is seen, in units of that range; the more, the
            more evenly the weights are spread.
        sizes: Odd sides of the windows. Where a window reaches beyond the image, only what is inside counts.

    Raises `ValueError` if shapes differ or noise is not above 0.
    """
    from scipy.special import softmax

    if image.shape != training.shape[1:]:
        raise ValueError(f"image has shape {image.shape}, training images {training.shape[1:]}")
    if not noise > 0:
        raise ValueError(f"noise is {noise}, expected a number above 0")
    apart = np.square(training - image).sum(axis=3)
    weights = [softmax(_window_sums(apart, size) / (-2 * noise**2), axis=0) for size in sizes]
    return np.asarray(np.mean(weights, axis=0), dtype=np.float32)


def _window_sums(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return sums over windows around each place of (n, h, w), scaled up where a window is cut by the border."""
    for axis in (1, 2):
        total = np.cumsum(values, axis=axis, dtype=np.float64)
        total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis=axis)
        length, half = values.shape[axis], size // 2
        place = np.arange(length)
        low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, length)
        shape = [1, 1, 1]
        shape[axis] = length
        inside = (high - low).reshape(shape)
        values = ((total.take(high, axis) - total.take(low, axis)) * (size / inside)).astype(np.float32)
    return values
