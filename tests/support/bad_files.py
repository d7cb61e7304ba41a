"""Files that somebody may hand over as an image: damaged, cut off, lying about their size, of other kinds, hostile."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, PngImagePlugin

from tests.support.images import bomb, encoded, of_frames, of_scans

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def _picture() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(values)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(*chunks: bytes) -> bytes:
    """The picture as PNG with chunks put in after its header."""
    data = encoded(_picture(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def _text(size: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("attribution-explorer", "x" * size, zip=True)
    return encoded(_picture(), "PNG", pnginfo=info)


def _jpeg_sides(width: int, height: int) -> bytes:
    """A small JPEG whose header says other sides."""
    data = bytearray(encoded(_picture(), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(_picture(), "JPEG", exif=exif)


def _flipped(data: bytes, seed: int) -> bytes:
    """Sixteen random bytes behind the header are others."""
    rng = np.random.default_rng(seed)
    changed = bytearray(data)
    for place in rng.integers(40, len(data), 16):
        changed[place] ^= int(rng.integers(1, 256))
    return bytes(changed)


def bad_files() -> Iterator[tuple[str, bytes]]:
    """(name, content), the same each time; every name tells the kind."""
    whole = {kind: encoded(_picture(), kind) for kind in _FORMATS}
    for kind, data in whole.items():
        ending = kind.lower()
        yield f"cut-in-half.{ending}", data[: len(data) // 2]
        yield f"header-alone.{ending}", data[:24]
        yield f"behind-rubbish.{ending}", b"\0" * 512 + data
        yield f"before-rubbish.{ending}", data + b"\0" * 4096
        yield f"bytes-flipped.{ending}", _flipped(data, len(kind))
        yield (
            f"zeros-inside.{ending}",
            data[: len(data) // 3] + bytes(len(data) // 3) + data[-(len(data) // 3) :],
        )
    makers: dict[str, Callable[[], bytes]] = {
        "empty.png": lambda: b"",
        "one-byte.png": lambda: b"\x89",
        "text.png": lambda: b"this is no picture\n" * 50,
        "web-page.jpg": lambda: b"<!doctype html><html><body><script>alert(1)</script></body></html>",
        "drawing.svg.png": lambda: (
            b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
        ),
        "script.eps.png": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "document.pdf.png": lambda: b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
        "archive.zip.png": lambda: b"PK\x03\x04" + bytes(200),
        "packed.gz.png": lambda: gzip.compress(encoded(_picture(), "PNG")),
        "program.png": lambda: b"\x7fELF" + bytes(500),
        "icon.png": lambda: encoded(_picture().resize((32, 32)), "ICO"),
        "icons-of-a-mac.png": lambda: (
            b"icns" + struct.pack(">I", 64) + b"ic10" + struct.pack(">I", 56) + bytes(48)
        ),
        "film.png": lambda: b"\0\0\0\x18ftypmp42" + bytes(300),
        "sound.png": lambda: b"RIFF" + struct.pack("<I", 100) + b"WAVE" + bytes(100),
        "bomb-30000.png": lambda: bomb(30_000),
        "bomb-200000.png": lambda: bomb(200_000),
        "no-rows.png": lambda: whole["PNG"][:33] + _chunk(b"IEND", b""),
        "sides-of-zero.png": lambda: (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0))
            + _chunk(b"IEND", b"")
        ),
        "wrong-checksum.png": lambda: whole["PNG"][:29] + b"\0\0\0\0" + whole["PNG"][33:],
        "chunk-without-end.png": lambda: _png(struct.pack(">I", 0x7FFFFFFF) + b"tEXt"),
        "text-of-20-mb.png": lambda: _text(20_000_000),
        "text-without-zero.png": lambda: _png(_chunk(b"tEXt", b"x" * 100)),
        "text-of-another-code.png": lambda: _png(_chunk(b"iTXt", b"Comment\0\0\0\0\0" + b"\xff\xfe" * 50)),
        "profile-of-rubbish.png": lambda: encoded(_picture(), "PNG", icc_profile=b"no profile at all" * 9),
        "profile-of-5-mb.png": lambda: encoded(_picture(), "PNG", icc_profile=bytes(5_000_000)),
        "scans-3000.jpg": lambda: of_scans(3000, 64),
        "says-60000x60000.jpg": lambda: _jpeg_sides(60_000, 60_000),
        "says-1x65000.jpg": lambda: _jpeg_sides(1, 65_000),
        "orientation-99.jpg": lambda: _orientation(99),
        "exif-of-rubbish.jpg": lambda: encoded(_picture(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 200),
        "frames-5000.gif": lambda: of_frames(5000),
        "thin-1x20000.png": lambda: encoded(Image.new("L", (1, 20_000), 90), "PNG"),
        "thin-20000x1.png": lambda: encoded(Image.new("L", (20_000, 1), 90), "PNG"),
        "one-pixel.png": lambda: encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
        "floats-without-numbers.tif": lambda: encoded(
            Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"
        ),
        "floats-without-end.tif": lambda: encoded(
            Image.fromarray(np.full((9, 9), np.inf, np.float32)), "TIFF"
        ),
        "folders-in-a-circle.tif": lambda: _tiff_circle(whole["TIFF"]),
        "transparent-all.png": lambda: encoded(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG"),
    }
    for name, make in makers.items():
        yield name, make()


def _tiff_circle(data: bytes) -> bytes:
    """A TIFF whose list of pages begins again and again."""
    order = "<" if data[:2] == b"II" else ">"
    first = struct.unpack(f"{order}I", data[4:8])[0]
    count = struct.unpack(f"{order}H", data[first : first + 2])[0]
    following = first + 2 + 12 * count
    return data[:following] + data[4:8] + data[following + 4 :]


def good_file() -> bytes:
    """A picture that everything reads."""
    buffer = io.BytesIO()
    _picture().save(buffer, "PNG")
    return buffer.getvalue()
