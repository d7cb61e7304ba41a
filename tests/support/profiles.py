"""Colour profiles of wide, grey and printed spaces, made of Pillow's own sRGB profile."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np
from PIL import ImageCms

DISPLAY_P3 = {
    b"rXYZ": (0.51512, 0.2412, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.1571, 0.06657, 0.78407),
}
SWAPPED = {
    b"rXYZ": (0.3851, 0.7169, 0.0971),
    b"gXYZ": (0.4361, 0.2225, 0.0139),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
"""sRGB with red and green changed for each other."""


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def with_primaries(primaries: dict[bytes, tuple[float, float, float]]) -> bytes:
    """sRGB's profile with other colours of red, green and blue."""
    raw = bytearray(srgb())
    for name, values in primaries.items():
        place = _tags(raw)[name]
        raw[place + 8 : place + 20] = b"".join(struct.pack(">i", round(v * 65536)) for v in values)
    return bytes(raw)


def grey(gamma: float) -> bytes:
    """A profile of grey pixels with a plain gamma."""
    white = b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(v * 65536)) for v in (0.9642, 1, 0.8249))
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    start = 128 + 4 + 2 * 12
    table = struct.pack(">I4sII4sII", 2, b"wtpt", start, 20, b"kTRC", start + 20, 14)
    head = bytearray(srgb()[:128])
    head[16:20] = b"GRAY"
    body = bytes(head) + table + white + curve
    return struct.pack(">I", len(body)) + body[4:]


INKS = {"C": (70, -20, -20), "M": (55, 45, 0), "Y": (90, -10, 55), "K": (0, 0, 0)}
"""CIELAB, D50, of full ink on paper; paper is (100, 0, 0)."""


def press() -> bytes:
    """A profile of CMYK pixels, a table of the 16 mixtures of full inks: of one alone as in `INKS`, of more, black."""
    head = bytearray(srgb()[:128])
    head[8:12], head[12:24] = b"\x02\x10\0\0", b"prtrCMYKLab "
    head[64:68] = struct.pack(">I", 1)  # relative colorimetric: nothing is moved to fit blacks
    paper, black = (100, 0, 0), (0, 0, 0)
    corners = []
    for amounts in product((0, 1), repeat=4):  # the last ink changes fastest
        used = [lab for lab, amount in zip(INKS.values(), amounts, strict=True) if amount]
        corners.append((used[0] if len(used) == 1 else black) if used else paper)
    ramp = bytes(range(256))
    identity = b"".join(struct.pack(">i", 65536 * int(v)) for v in np.eye(3).ravel())
    table = bytes(v for lightness, a, b in corners for v in (round(lightness * 2.55), a + 128, b + 128))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * ramp + table + 3 * ramp
    body = bytes(head) + struct.pack(">I4sII", 1, b"A2B0", 144, len(lut)) + lut
    return struct.pack(">I", len(body)) + body[4:]


def _tags(raw: bytearray) -> dict[bytes, int]:
    count = struct.unpack(">I", raw[128:132])[0]
    return {
        bytes(raw[132 + 12 * i : 136 + 12 * i]): struct.unpack(">I", raw[136 + 12 * i : 140 + 12 * i])[0]
        for i in range(count)
    }
