"""Augmented views of exemplars for tuning, flipped and resized, with the area in which the loss counts.

Source: the augmentation of Custom Diffusion (Kumari et al., CVPR 2023). "Scattered" views are our addition: the whole
exemplar, smaller, anywhere on a plain canvas that the loss includes, so that images generated after tuning do not
repeat the exemplar's layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from attribution_core.common.images import border_colour
from attribution_core.errors import InvalidInputError

if TYPE_CHECKING:
    import torch

FAR = ("a far away ", "very small ")
NEAR = ("zoomed in ", "close up ")
_SMALLER = 2 / 3  # probability; else 1.2 to 1.4 times the canvas
_SMALLEST, _FAR_BELOW = 1 / 3, 0.6
_NEAR_RANGE = (1.2, 1.4)
_SCATTERED = (0.5, 0.9)  # of the canvas


@dataclass(frozen=True)
class Views:
    """Augmented views of a subject.

    pixels: (n, 3, s, s) float32 in [-1, 1]. masks: (n, h, h) float32 of 0 and 1 on the latent grid. prefixes: words
    before each view's caption ("very small ", "close up ", or "").
    """

    pixels: np.ndarray = field(repr=False)
    masks: np.ndarray = field(repr=False)
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Exemplars:
    """The views in latent space. latents: (n, c, h, h), scaled. masks: (n, h, h)."""

    latents: torch.Tensor = field(repr=False)
    masks: torch.Tensor = field(repr=False)
    prefixes: tuple[str, ...]


def draw_views(
    images: Sequence[Image.Image],
    count: int,
    side: int,
    factor: int,
    rng: np.random.Generator,
    scattered: bool = False,
) -> Views:
    """Draw `count` views, cycling through the images.

    side: of the canvas, px. factor: px per latent cell. A smaller view is placed at random on a canvas of the image's
    border colour, which the mask excludes, along with cells that overlap the view's edge.
    scattered: all views are whole, smaller and placed at random, and the mask includes the canvas.
    Raises `InvalidInputError` if the canvas is too small for a masked view.
    """
    if side // factor < 6:
        raise InvalidInputError(f"views need a latent grid of at least 6 cells, given {side // factor}.")
    squares = [_square(image) for image in images]
    draw = _scatter if scattered else _draw
    views = [draw(squares[i % len(squares)], side, factor, rng) for i in range(count)]
    pixels = np.stack([p for p, _, _ in views]).transpose(0, 3, 1, 2)
    return Views(
        np.ascontiguousarray(pixels), np.stack([m for _, m, _ in views]), tuple(c for _, _, c in views)
    )


def _draw(
    image: Image.Image, side: int, factor: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, str]:
    cells = side // factor
    mask = np.ones((cells, cells), dtype=np.float32)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < _SMALLER:
        size = int(rng.integers(int(np.ceil(side * _SMALLEST)), side + 1))
        canvas, x, y = _place(image, side, size, rng)
        if size < side:
            mask[:] = 0
            mask[_inside(y, size, factor, cells), _inside(x, size, factor, cells)] = 1
        prefix = str(rng.choice(FAR)) if size < _FAR_BELOW * side else ""
    else:
        size = int(side * rng.uniform(*_NEAR_RANGE))
        x, y = (int(v) for v in rng.integers(0, size - side + 1, size=2))
        canvas = image.resize((size, size), Image.Resampling.LANCZOS).crop((x, y, x + side, y + side))
        prefix = str(rng.choice(NEAR))
    return np.asarray(canvas, dtype=np.float32) / 127.5 - 1, mask, prefix


def _scatter(
    image: Image.Image, side: int, factor: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, str]:
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas, _, _ = _place(image, side, int(side * rng.uniform(*_SCATTERED)), rng)
    cells = side // factor
    return np.asarray(canvas, dtype=np.float32) / 127.5 - 1, np.ones((cells, cells), dtype=np.float32), ""


def _place(
    image: Image.Image, side: int, size: int, rng: np.random.Generator
) -> tuple[Image.Image, int, int]:
    """Place the resized image at random on a canvas of its border colour; returns canvas, left and top."""
    x, y = (int(v) for v in rng.integers(0, side - size + 1, size=2))
    canvas = Image.new("RGB", (side, side), border_colour(image))
    canvas.paste(image.resize((size, size), Image.Resampling.LANCZOS), (x, y))
    return canvas, x, y


def _inside(start: int, size: int, factor: int, cells: int) -> slice:
    """Return the cells wholly within [start, start + size), minus those next to an edge inside the canvas."""
    first, last = -(-start // factor), (start + size) // factor
    first += first > 0 and last - first > 2
    last -= last < cells and last - first > 2
    return slice(first, max(last, first + 1))


def _square(image: Image.Image) -> Image.Image:
    """Crop to the central square, RGB."""
    side = min(image.size)
    x, y = (image.width - side) // 2, (image.height - side) // 2
    return image.convert("RGB").crop((x, y, x + side, y + side))
