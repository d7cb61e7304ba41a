"""Perceptual hashes: 64 bits that a picture keeps when it is scaled, compressed or slightly changed (pHash)."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from attribution_core.errors import InvalidInputError

NEAR = 6
"""Pictures whose hashes differ in at most so many of 64 bits count as the same."""
_SIDE, _KEPT = 32, 8
_HEX = re.compile(r"(?:0x)?([0-9a-f]{16})", re.IGNORECASE)


def perceptual_hash(image: Image.Image) -> int:
    """Return the hash of a picture, the same as `imagehash.phash` gives.

    It tells which of the 8 x 8 lowest frequencies of the 32 x 32 grey pixels are above their median; the first is the
    highest bit.
    """
    from scipy.fft import dct

    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dct(dct(np.asarray(grey, dtype=np.float64), axis=0), axis=1)[:_KEPT, :_KEPT]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def read_hash(text: str) -> int:
    """Read a hash of 16 hexadecimal digits. Raises `InvalidInputError`."""
    digits = _HEX.fullmatch(text.strip())
    if digits is None:
        raise InvalidInputError(f"'{text:.80}' is no perceptual hash; give 16 hexadecimal digits.")
    return int(digits[1], 16)
