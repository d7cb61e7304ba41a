"""Colour profiles of wide and grey spaces, made of Pillow's own sRGB profile."""

from __future__ import annotations

import struct

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


def _tags(raw: bytearray) -> dict[bytes, int]:
    count = struct.unpack(">I", raw[128:132])[0]
    return {
        bytes(raw[132 + 12 * i : 136 + 12 * i]): struct.unpack(">I", raw[136 + 12 * i : 140 + 12 * i])[0]
        for i in range(count)
    }
