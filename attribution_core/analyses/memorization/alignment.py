"""Aligns a matched image with a query by shift, scale and flip, and maps where the two differ.

The match is laid on a canvas of its own background. For every scale of a small grid and both flips, the difference at
all shifts at once comes from cross-correlations by FFT; the least root mean square difference wins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from attribution_core.common.arrays import whole
from attribution_core.common.images import border_colour

SIDE = 64
"""Pixels to which both images are brought; centre crops, as encoders and generators see them."""
LARGEST = 1024
SCALES = (1.0, *(k / 20 for k in range(10, 31) if k != 20))
_FINER = (0.025, 0.0125)  # steps around the best of the grid, one after the other
_SAME = 1e-6  # a change of place must be better than this, so that of equals the plainest stands
Pixels = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a match lies best over the query.

    Attributes:
        flipped: Whether it was mirrored, left to right.
        scale: By how much its sides were multiplied.
        right, down: Its shift from the centre, as a part of the query's side.
        rms: Root mean square difference at `SIDE` px, in 8-bit steps (0 to 255), after aligning.
        rms_before: The same with both laid over each other as they are.
        difference: (s, s) the same for each pixel, over the three colours.
        aligned: The match as it was laid over the query's centre square, RGB, of its size, at most `LARGEST` px.
    """

    flipped: bool
    scale: float
    right: float
    down: float
    rms: float
    rms_before: float
    difference: NDArray[np.float64]
    aligned: Image.Image

    @property
    def moved(self) -> bool:
        """Whether anything was done to the match."""
        return self.flipped or self.scale != 1.0 or self.right != 0.0 or self.down != 0.0


@dataclass(frozen=True)
class _Place:
    error: float
    flipped: bool = False
    scale: float = 1.0
    left: int = 0  # of the scaled match's corner, px of the query
    top: int = 0


def align(query: Image.Image, match: Image.Image, side: int = SIDE) -> Alignment:
    """Find the flip, scale and shift under which the match is nearest to the query.

    query, match: RGB of any size. side: px at which they are compared, 16 to 256. Raises `InvalidInputError` outside.
    """
    whole("side", side, 16, 256)
    shown = _square(query)
    target = _pixels(ImageOps.fit(shown, (side, side)))
    source = _square(match)
    ground = np.array(border_colour(source), dtype=np.float64)
    best = plain = _Place(_error(target, _laid(source, _Place(0.0), side, side, ground)))
    for flipped, scale in ((flipped, scale) for scale in SCALES for flipped in (False, True)):
        best = _better(best, target, source, flipped, scale, ground)
    for step in _FINER:
        for scale in (best.scale - step, best.scale + step):
            best = _better(best, target, source, best.flipped, scale, ground)
    laid = _laid(source, best, side, side, ground)
    across = round(best.scale * side)
    centre = ((best.left + across / 2) / side - 0.5, (best.top + across / 2) / side - 0.5)
    difference = np.sqrt(np.square(target - laid).mean(axis=2))
    aligned = Image.fromarray(_laid(source, best, side, shown.width, ground).round().astype(np.uint8))
    return Alignment(
        best.flipped,
        round(best.scale, 4),
        *centre,
        _rms(_error(target, laid)),
        _rms(plain.error),
        difference,
        aligned,
    )


def _square(image: Image.Image) -> Image.Image:
    """The centre square, at most `LARGEST` px: what is compared is smaller by far."""
    return ImageOps.fit(image.convert("RGB"), (min(*image.size, LARGEST),) * 2)


def _pixels(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float64)


def _error(target: Pixels, laid: Pixels) -> float:
    return float(np.square(target - laid).mean())


def _rms(error: float) -> float:
    return float(np.sqrt(max(error, 0.0)))


def _scaled(source: Image.Image, flipped: bool, across: int) -> Pixels:
    turned = ImageOps.mirror(source) if flipped else source
    return _pixels(
        turned if turned.width == across else turned.resize((across, across), Image.Resampling.BICUBIC)
    )


def _laid(source: Image.Image, place: _Place, side: int, size: int, ground: Pixels) -> Pixels:
    """The match (size, size, 3) where it was found at `side` px."""
    grown = size / side
    scaled = _scaled(source, place.flipped, max(1, round(place.scale * side * grown)))
    canvas = np.broadcast_to(ground, (size, size, 3)).copy()
    left, top = round(place.left * grown), round(place.top * grown)
    rows, columns = _overlap(top, len(scaled), size), _overlap(left, len(scaled), size)
    canvas[rows[0], columns[0]] = scaled[rows[1], columns[1]]
    return canvas


def _overlap(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Where an axis of the match lies on the canvas, and which part of it that is."""
    first, last = max(0, start), min(size, start + length)
    return slice(first, max(first, last)), slice(first - start, max(first, last) - start)


def _better(
    best: _Place, target: Pixels, source: Image.Image, flipped: bool, scale: float, ground: Pixels
) -> _Place:
    side = len(target)
    place = _best_shift(target - ground, _scaled(source, flipped, round(scale * side)) - ground)
    place = replace(place, flipped=flipped, scale=scale)
    return place if place.error < best.error - _SAME else best


def _best_shift(target: Pixels, laid: Pixels) -> _Place:
    """The least mean square difference over all shifts; both arrays without their background.

    What the match does not cover counts as background: sum (q - m)^2 = sum q^2 - 2 q*m + sum of m^2 under the query.
    """
    side, across = len(target), len(laid)
    room = side + across
    shape = (room, room)
    window = np.zeros((side, side, 1)) + 1.0
    crossed = sum(_correlated(target[..., c], laid[..., c], shape) for c in range(3))
    covered = _correlated(window[..., 0], np.square(laid).sum(axis=2), shape)
    error = (np.square(target).sum() - 2 * crossed + covered) / target.size
    # The plainest first: of equals argmin takes it where shifts are counted from the centre outwards.
    centre = (side - across) // 2
    if error[centre % room, centre % room] <= error.min() + _SAME:
        return _Place(float(error[centre % room, centre % room]), left=centre, top=centre)
    top, left = (int(v) for v in np.unravel_index(int(error.argmin()), shape))
    top, left = (v - room if v >= side else v for v in (top, left))
    return _Place(float(error[top % room, left % room]), left=left, top=top)


def _correlated(query: Pixels, match: Pixels, shape: tuple[int, int]) -> Pixels:
    """(room, room) sums of query[y + top, x + left] * match[y, x]; negative shifts count from the end."""
    spectrum = np.fft.rfft2(query, shape) * np.conj(np.fft.rfft2(match, shape))
    return np.asarray(np.fft.irfft2(spectrum, shape), dtype=np.float64)
