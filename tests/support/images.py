"""Image files: ordinary ones, and some that say they are larger than they are."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from attribution_core.common.images import png_bytes


def bomb(side: int) -> bytes:
    """A few kB of PNG that say they are side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"\0" * (side // 8 + 1) * 64)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def of_scans(count: int, side: int = 512) -> bytes:
    """A progressive JPEG whose last scan is there again and again, `count` scans in all."""
    buffer = io.BytesIO()
    Image.effect_noise((side, side), 40).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan * (count - data.count(b"\xff\xda")) + data[-2:]


def of_frames(count: int, side: int = 8) -> bytes:
    """An animated GIF of `count` frames."""
    buffer = io.BytesIO()
    frames = [Image.new("P", (side, side), k % 2) for k in range(count)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    return buffer.getvalue()


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file's bytes. kind: Pillow's name of the format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def save_png(image: Image.Image, path: Path, recipe: Mapping[str, Any] | None = None) -> None:
    """A PNG as the library writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(image, recipe))
