"""Reads untrusted images safely, and writes and reads files with recipe and XMP metadata."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import stat
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

from attribution_core.common import xmp as xmp_packets
from attribution_core.common.colour import to_srgb
from attribution_core.common.heif import prepare_heif
from attribution_core.common.json_text import parse_json
from attribution_core.common.optional import how_to_install
from attribution_core.errors import InvalidImageError

_SMALL = 256  # px; images up to this size stay lossless in a page
_KINDS = {b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif", b"\xff\xd8\xff": "jpeg"}
RECIPE_KEY = "attribution-explorer"
RECIPE_PROPERTY = "attribution:AttributionRecipe"
"""In XMP; its local name is unlike that of any property in use."""
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .pjpeg .pjp .mpo .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif".split()
)
RECIPE_BYTES = 16_384
"""Longer recipes are ignored, since their text could fill a page or memory."""
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")
"""Allowed formats, by Pillow's names. Some of Pillow's others run programs or decode before reporting their size."""
_GIVE = "give a PNG, JPEG, WebP, GIF, BMP or TIFF file"
_CHUNK = 16_384  # bytes that a decoder reads between two checks of the time limit


@dataclass(frozen=True)
class Limits:
    """Limits on the resources of one image; images that exceed them are rejected, before decoding where possible.

    file_bytes: size of the encoded file. pixels: width times height; 17 kB of PNG can decode to gigabytes. side: the
    longer side in px. scans: of a progressive JPEG; cameras and editors write about ten. passes: scans times pixels,
    since every scan covers all pixels. seconds: time for decoding.
    """

    file_bytes: int = 200_000_000
    pixels: int = 50_000_000
    side: int = 65_535
    scans: int = 100
    passes: int = 1_500_000_000
    seconds: float = 20.0


LIMITS = Limits()


class _TimedBytes(io.BytesIO):
    """A file that raises an error once the time is up, the only way to interrupt a decoder."""

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self._seconds, self._ends = seconds, time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self._ends:
            raise TimeoutError
        return super().read(size)


def read_image(
    source: Path | str | bytes | Image.Image, limits: Limits = LIMITS, largest: int | None = None
) -> Image.Image:
    """Read any common image as displayed, in RGB; all untrusted images must be read with this function.

    EXIF rotation and colour profiles are applied, transparency is composited on white, CMYK, 16-bit, palette and grey
    images are converted, and an animation gives its first frame. Metadata (EXIF, text, profiles) is dropped.

    source: a path, an encoded file's bytes, or a PIL image. largest: limit in px to which the longer side is scaled
    down. Raises `InvalidImageError` for a file that is missing, empty, truncated, above the limits or not an image.
    """
    with _image_errors(source, limits):
        image = source if isinstance(source, Image.Image) else open_encoded(read_file(source, limits), limits)
        _check_sides(image, limits)
        image.seek(0)
        if largest is not None and max(image.size) > largest:
            image = _scaled(image.copy() if image is source else image, largest)
        image = to_srgb(ImageOps.exif_transpose(image))
        image.info = {}  # Pillow would write it into every file saved from this image
        return image


def read_alpha(source: Path | bytes, limits: Limits = LIMITS) -> Image.Image:
    """Read an image's alpha channel in mode "L"; limits and errors as for `read_image`."""
    with _image_errors(source, limits):
        image = open_encoded(read_file(source, limits), limits)
        _check_sides(image, limits)
        return image.convert("RGBA").getchannel("A")


def image_sides(data: bytes) -> tuple[int, int]:
    """Return width and height in px as stored, without decoding. Raises `InvalidImageError`."""
    with _image_errors(data, LIMITS):
        return open_encoded(data, LIMITS).size


@contextlib.contextmanager
def _image_errors(source: Path | str | bytes | Image.Image, limits: Limits) -> Iterator[None]:
    """Turn whatever a decoder raises into an `InvalidImageError` of one sentence that names the source."""
    name = "the image" if isinstance(source, (bytes, Image.Image)) else f"'{Path(source).name}'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except _RejectedError as error:
        raise InvalidImageError(f"{name} {error}") from error
    except InvalidImageError:
        raise
    except (
        Image.DecompressionBombError
    ) as error:  # beyond Pillow's own limit, which it checks before it tells the size
        most = min(limits.pixels, 2 * (Image.MAX_IMAGE_PIXELS or limits.pixels))
        raise InvalidImageError(
            f"{name} has more pixels than the allowed {most / 1e6:.0f} megapixels; make it smaller first."
        ) from error
    except TimeoutError as error:
        raise InvalidImageError(
            f"{name} takes longer than {limits.seconds:g} seconds to decode; save it as a plain PNG or JPEG."
        ) from error
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        raise InvalidImageError(
            f"{name} cannot be read as an image: it is damaged, truncated or of an unknown format; {_GIVE}."
        ) from error


def read_file(source: Path | str | bytes, limits: Limits = LIMITS) -> bytes:
    """Read a regular file; bytes are returned as they are.

    Raises `InvalidImageError`, also for devices, pipes and folders, whose content may never end.
    """
    if isinstance(source, bytes):
        return source
    name = f"'{Path(source).name}'"
    try:
        status = Path(source).stat()
        regular = stat.S_ISREG(status.st_mode)
        data = Path(source).read_bytes() if regular and status.st_size <= limits.file_bytes else b""
    except OSError as error:
        raise InvalidImageError(f"{name} cannot be opened ({error.strerror}); check the path.") from error
    except ValueError as error:  # a null character in the name
        raise InvalidImageError(f"{name} cannot be opened; check the path.") from error
    if stat.S_ISDIR(status.st_mode):
        raise InvalidImageError(f"{name} cannot be opened (it is a folder); check the path.")
    if not regular:
        raise InvalidImageError(f"{name} is not a regular file; give the path of an image file.")
    if status.st_size > limits.file_bytes:
        raise InvalidImageError(
            f"{name} is larger than {limits.file_bytes / 1e6:.0f} MB; make it smaller first."
        )
    return data


class _RejectedError(Exception):
    """An image is rejected; the message completes a sentence that begins with its name."""


def open_encoded(data: bytes, limits: Limits = LIMITS) -> ImageFile.ImageFile:
    """Open an untrusted file's bytes with all checks that need no decoding; what Pillow raises passes through."""
    if not data:
        raise _RejectedError(f"is an empty file; {_GIVE}.")
    if not prepare_heif(data):
        raise _RejectedError(
            f"is a HEIC image, which needs `{how_to_install('pillow_heif')}`; or save it as JPEG."
        )
    image = Image.open(_TimedBytes(data, limits.seconds), formats=_formats())
    if image.format in ("JPEG", "MPO"):
        scans = data.count(b"\xff\xda")
        if scans > limits.scans or scans * image.width * image.height > limits.passes:
            raise _RejectedError(
                f"is a progressive JPEG of {scans} scans, which takes too long to decode; save it as a plain JPEG."
            )
    if hasattr(image, "decodermaxblock"):
        image.decodermaxblock = _CHUNK
    return image


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_sides(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise _RejectedError(f"is empty ({width} x {height} pixels); give another image.")
    if width * height > limits.pixels:
        raise _RejectedError(
            f"has {width} x {height} pixels, more than the allowed {limits.pixels / 1e6:.0f} megapixels; make it "
            "smaller first."
        )
    if max(width, height) > limits.side:
        raise _RejectedError(
            f"has {width} x {height} pixels, but a side may have at most {limits.side:,}; crop it first."
        )


def _scaled(image: Image.Image, largest: int) -> Image.Image:
    """Scale an image down in its own mode if possible, to avoid another full-size copy."""
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        image = to_srgb(ImageOps.exif_transpose(image))
    # This decodes a JPEG at 1/2, 1/4 or 1/8 of its size.
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def border_colour(image: Image.Image) -> tuple[int, int, int]:
    """Return the median colour of an image's outermost pixels, 8-bit RGB."""
    pixels = np.asarray(image.convert("RGB"))
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = (int(v) for v in np.median(border, axis=0))
    return red, green, blue


def scaled_down(image: Image.Image, largest: int) -> Image.Image:
    """Return the image, or a copy scaled down to a longer side of `largest` px and a shorter one of at least 1 px."""
    if max(image.size) <= largest:
        return image
    copy = image.copy()
    copy.thumbnail((largest, largest))
    return copy


def png_bytes(image: Image.Image, recipe: Mapping[str, Any] | None = None, xmp: bytes = b"") -> bytes:
    """Encode an image as PNG, with the recipe in text chunks: one per key, and one with all as JSON.

    xmp: a packet; left out if it is longer than `xmp.MAX_WRITTEN`.
    """
    info = PngImagePlugin.PngInfo()
    if recipe:
        info.add_itxt(RECIPE_KEY, json.dumps(dict(recipe), ensure_ascii=False))
        for key, value in recipe.items():
            info.add_itxt(key, str(value))
    if kept := _fitting(xmp):
        info.add_itxt(xmp_packets.PNG_KEY, kept.decode("utf-8", "replace"))
    return _encoded(image, "PNG", pnginfo=info)


def jpeg_bytes(image: Image.Image, xmp: bytes = b"") -> bytes:
    """Encode an RGB image as a visually lossless JPEG: quality 95, no chroma subsampling. xmp: as in `png_bytes`."""
    return _encoded(image, "JPEG", quality=95, subsampling=0, xmp=_fitting(xmp))


def webp_bytes(image: Image.Image, xmp: bytes = b"") -> bytes:
    """Encode an image as lossless WebP. xmp: as in `png_bytes`."""
    return _encoded(image, "WEBP", lossless=True, xmp=_fitting(xmp))


def _fitting(xmp: bytes) -> bytes:
    return xmp if len(xmp) <= xmp_packets.MAX_WRITTEN else b""


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format=kind, **options)
    return out.getvalue()


def read_recipe(source: Path | str | bytes) -> dict[str, Any] | None:
    """Return the recipe in a PNG's text or, for other formats, its XMP; None if there is none.

    One that exceeds `RECIPE_BYTES` is ignored. Raises `InvalidImageError` if the file is not an image.
    """
    name = "the image" if isinstance(source, bytes) else f"'{Path(source).name}'"
    data = read_file(source)
    try:
        # Not `read_image`: only the text is needed.
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            text = getattr(image, "text", {}).get(RECIPE_KEY)
            if text is None:
                text = next(
                    iter((xmp_packets.properties_of(image) or {}).get(RECIPE_PROPERTY.partition(":")[2], ())),
                    "",
                )
            recipe = parse_json(text) if text and len(text) <= RECIPE_BYTES else None
    except Exception as error:
        raise InvalidImageError(
            f"{name} cannot be read as an image; give a file written by the app or the command line."
        ) from error
    return recipe if isinstance(recipe, dict) else None


def data_uri(image: Image.Image, largest: int) -> str:
    """Encode an image as a data URI: PNG up to 256 px, else WebP with a longer side of at most `largest` px."""
    out = io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(out, "PNG")
        return as_data_uri(out.getvalue(), "png")
    scaled_down(image, largest).save(out, "WEBP", quality=90)
    return as_data_uri(out.getvalue(), "webp")


def kind_of(data: bytes) -> str:
    """Identify a browser-supported image format by its first bytes: "png", "webp", "gif", "jpeg", or ""."""
    return next((name for start, name in _KINDS.items() if data.startswith(start)), "")


def as_data_uri(data: bytes, kind: str) -> str:
    """Return an encoded image as a data URI. kind: "png", "webp", "gif" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
