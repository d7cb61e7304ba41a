"""Reading images that anyone may hand in, and PNG files that carry the recipe that made them."""

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
from PIL import Image, ImageOps, PngImagePlugin

from attribution_core.common.colour import to_srgb
from attribution_core.common.files import atomic_path
from attribution_core.common.heif import prepare_heif
from attribution_core.common.json_text import parse_json
from attribution_core.common.optional import how_to_install
from attribution_core.errors import InvalidImageError

_SMALL = 256  # px; drawings of this size keep every pixel in a page
_KINDS = {b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif", b"\xff\xd8\xff": "jpeg"}
RECIPE_KEY = "attribution-explorer"
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .pjpeg .pjp .mpo .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif".split()
)
RECIPE_BYTES = 16_384
"""A recipe longer than this is read as none: its text could fill a page, or a memory."""
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")
"""What is decoded, by Pillow's names. Pillow knows more; some run programs, some decode before they tell their size."""
_GIVE = "give a PNG, JPEG, WebP, GIF, BMP or TIFF file"
_CHUNK = 16_384  # bytes that a decoder is fed between two looks at the clock


@dataclass(frozen=True)
class Limits:
    """What one image may ask of this machine; above it, an image is refused, before it is decoded where possible.

    file_bytes: of the encoded file. pixels: width times height; 17 kB of PNG can hold gigabytes of them. side: the
    longer side in px. scans: passes of a progressive JPEG, of which cameras and editors write about ten; passes:
    scans times pixels, as every scan goes over all of them. seconds: of decoding.
    """

    file_bytes: int = 200_000_000
    pixels: int = 50_000_000
    side: int = 65_535
    scans: int = 100
    passes: int = 1_500_000_000
    seconds: float = 20.0


LIMITS = Limits()


class _TimedBytes(io.BytesIO):
    """Bytes of a file that end in an error once the time is up; a decoder cannot be interrupted otherwise."""

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
    """Read any common image as it would be seen, in RGB: the one way in for all that somebody hands over.

    EXIF rotation and colour profiles are applied, transparency is laid on white, CMYK, 16-bit, palette and grey images
    are converted, an animation gives its first frame. Notes inside the file (EXIF, texts, profiles) are left behind.

    source: a path, an encoded file's bytes, or a PIL image. largest: px, to which the longer side is scaled down.
    Raises `InvalidImageError` for what is missing, empty, truncated, above the limits or no image.
    """
    with _refusals(source, limits):
        image = source if isinstance(source, Image.Image) else _open(read_file(source, limits), limits)
        _check_sides(image, limits)
        image.seek(0)
        if largest is not None and max(image.size) > largest:
            image = _scaled(image.copy() if image is source else image, largest)
        image = to_srgb(ImageOps.exif_transpose(image))
        image.info = {}  # Pillow would write it into every file that is made of this image
        return image


def read_alpha(source: Path | bytes, limits: Limits = LIMITS) -> Image.Image:
    """How opaque an image is, mode "L"; the same limits and errors as of `read_image`."""
    with _refusals(source, limits):
        image = _open(read_file(source, limits), limits)
        _check_sides(image, limits)
        return image.convert("RGBA").getchannel("A")


def image_sides(data: bytes) -> tuple[int, int]:
    """Width and height in px as they are stored, told without decoding. Raises `InvalidImageError`."""
    with _refusals(data, LIMITS):
        return _open(data, LIMITS).size


@contextlib.contextmanager
def _refusals(source: Path | str | bytes | Image.Image, limits: Limits) -> Iterator[None]:
    """Make one sentence that names the source of whatever a decoder raises."""
    name = "the image" if isinstance(source, (bytes, Image.Image)) else f"'{Path(source).name}'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except _Refused as refused:
        raise InvalidImageError(f"{name} {refused}") from refused
    except InvalidImageError:
        raise
    except TimeoutError as error:
        raise InvalidImageError(
            f"{name} takes longer than {limits.seconds:g} seconds to decode; save it as a plain PNG or JPEG."
        ) from error
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise InvalidImageError(
            f"{name} cannot be read as an image: it is damaged, cut off or of an unknown kind; {_GIVE}."
        ) from error


def read_file(source: Path | str | bytes, limits: Limits = LIMITS) -> bytes:
    """The bytes of a regular file, or those given.

    Devices, pipes and folders are refused: they may never end. Raises `InvalidImageError`.
    """
    if isinstance(source, bytes):
        return source
    name = f"'{Path(source).name}'"
    try:
        told = Path(source).stat()
        regular = stat.S_ISREG(told.st_mode)
        data = Path(source).read_bytes() if regular and told.st_size <= limits.file_bytes else b""
    except OSError as error:
        raise InvalidImageError(f"{name} cannot be opened ({error.strerror}); check the path.") from error
    except ValueError as error:  # a null character in the name
        raise InvalidImageError(f"{name} cannot be opened; check the path.") from error
    if stat.S_ISDIR(told.st_mode):
        raise InvalidImageError(f"{name} cannot be opened (it is a folder); check the path.")
    if not regular:
        raise InvalidImageError(f"{name} is no regular file; give the path of an image file.")
    if told.st_size > limits.file_bytes:
        raise InvalidImageError(
            f"{name} is larger than {limits.file_bytes / 1e6:.0f} MB; make it smaller first."
        )
    return data


class _Refused(Exception):
    """What is wrong with an image; the words come after its name."""


def _open(data: bytes, limits: Limits) -> Image.Image:
    if not data:
        raise _Refused(f"is an empty file; {_GIVE}.")
    if not prepare_heif(data):
        raise _Refused(f"is a HEIC image, which needs `{how_to_install('pillow_heif')}`; or save it as JPEG.")
    image = Image.open(_TimedBytes(data, limits.seconds), formats=_formats())
    if image.format in ("JPEG", "MPO"):
        scans = data.count(b"\xff\xda")
        if scans > limits.scans or scans * image.width * image.height > limits.passes:
            raise _Refused(
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
        raise _Refused(f"is empty ({width} x {height} pixels); give another image.")
    if width * height > limits.pixels:
        raise _Refused(
            f"has {width} x {height} pixels, more than the allowed {limits.pixels / 1e6:.0f} megapixels; make it "
            "smaller first."
        )
    if max(width, height) > limits.side:
        raise _Refused(
            f"has {width} x {height} pixels, and a side may have {limits.side:,} at most; cut it first."
        )


def _scaled(image: Image.Image, largest: int) -> Image.Image:
    """Smaller, in the image's own mode where that can be scaled, so that no other full-size copy is made."""
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        image = to_srgb(ImageOps.exif_transpose(image))
    # A JPEG is decoded at a half, a quarter or an eighth for it.
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def border_colour(image: Image.Image) -> tuple[int, int, int]:
    """The median colour of an image's outermost pixels, RGB in 8-bit steps."""
    pixels = np.asarray(image.convert("RGB"))
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = (int(v) for v in np.median(border, axis=0))
    return red, green, blue


def scaled_down(image: Image.Image, largest: int) -> Image.Image:
    """The image, or a copy whose longer side is `largest` px; a thin one keeps at least one pixel across."""
    if max(image.size) <= largest:
        return image
    copy = image.copy()
    copy.thumbnail((largest, largest))
    return copy


def save_png(image: Image.Image, path: Path | str, recipe: Mapping[str, Any] | None = None) -> None:
    """Write a PNG whose text chunks hold the recipe, each key by itself and all as one JSON text.

    Written under a temporary name first.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(image, recipe))


def png_bytes(image: Image.Image, recipe: Mapping[str, Any] | None = None) -> bytes:
    """The same as bytes."""
    info = PngImagePlugin.PngInfo()
    if recipe:
        info.add_itxt(RECIPE_KEY, json.dumps(dict(recipe), ensure_ascii=False))
        for key, value in recipe.items():
            info.add_itxt(key, str(value))
    out = io.BytesIO()
    image.save(out, format="PNG", pnginfo=info)
    return out.getvalue()


def jpeg_bytes(image: Image.Image) -> bytes:
    """An RGB image as a JPEG in which nobody sees a difference: quality 95, colours at full resolution."""
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=95, subsampling=0)
    return out.getvalue()


def read_recipe(source: Path | str | bytes) -> dict[str, Any] | None:
    """Return the recipe that a PNG carries, or None where it carries none, or one of more than `RECIPE_BYTES`.

    Raises `InvalidImageError` for what is no image.
    """
    name = "the image" if isinstance(source, bytes) else f"'{Path(source).name}'"
    data = read_file(source)
    try:
        # Not as it is shown, so without the reader: its text alone is wanted, and no pixel is decoded.
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            text = getattr(image, "text", {}).get(RECIPE_KEY)
            recipe = parse_json(text) if text and len(text) <= RECIPE_BYTES else None
    except Exception as error:
        raise InvalidImageError(
            f"{name} cannot be read as an image; give a PNG file that the app or the command line made."
        ) from error
    return recipe if isinstance(recipe, dict) else None


def data_uri(image: Image.Image, largest: int) -> str:
    """An image to write into a page: PNG up to 256 px, else WebP with the longer side at most `largest` px."""
    out = io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(out, "PNG")
        return as_data_uri(out.getvalue(), "png")
    scaled_down(image, largest).save(out, "WEBP", quality=90)
    return as_data_uri(out.getvalue(), "webp")


def kind_of(data: bytes) -> str:
    """What browsers show of encoded images, told by the first bytes: "png", "webp", "gif", "jpeg", or ""."""
    return next((name for start, name in _KINDS.items() if data.startswith(start)), "")


def as_data_uri(data: bytes, kind: str) -> str:
    """An encoded image to write into a page. kind: "png", "webp", "gif" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
