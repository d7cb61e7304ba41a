"""Reading images that anyone may hand in, and PNG files that carry the recipe that made them."""

from __future__ import annotations

import base64
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, PngImagePlugin

from attribution_core.common.colour import to_srgb
from attribution_core.common.files import atomic_path
from attribution_core.common.heif import prepare_heif
from attribution_core.errors import InvalidImageError

MAX_PIXELS = 50_000_000
"""Images above this are refused before they are decoded: 17 kB of PNG can hold gigabytes of pixels."""
_SMALL = 256  # px; drawings of this size keep every pixel in a page
_KINDS = {b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif", b"\xff\xd8\xff": "jpeg"}
RECIPE_KEY = "attribution-explorer"
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .pjpeg .pjp .mpo .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif".split()
)


def read_image(source: Path | str | bytes | Image.Image, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read any common image as it would be seen, in RGB.

    EXIF rotation and colour profiles are applied, transparency is laid on white, CMYK, 16-bit, palette and grey
    images are converted, an animation gives its first frame.

    source: a path, an encoded file's bytes, or a PIL image. max_pixels: refused above, before decoding.
    Raises `InvalidImageError` for what is missing, empty, truncated, too large or no image.
    """
    name = "the image" if isinstance(source, (bytes, Image.Image)) else f"'{Path(source).name}'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = source if isinstance(source, Image.Image) else _open(source, name)
            width, height = image.size
            if width * height > max_pixels:
                raise InvalidImageError(
                    f"{name} has {width} x {height} pixels, more than the allowed "
                    f"{max_pixels / 1e6:.0f} megapixels; make it smaller first."
                )
            if width < 1 or height < 1:
                raise InvalidImageError(f"{name} is empty ({width} x {height} pixels); give another image.")
            image.seek(0)
            return to_srgb(ImageOps.exif_transpose(image))
    except InvalidImageError:
        raise
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise InvalidImageError(
            f"{name} cannot be read as an image: it is damaged, cut off or of an unknown "
            "kind; give a PNG, JPEG, WebP, GIF, BMP or TIFF file."
        ) from error


def _open(source: Path | str | bytes, name: str) -> Image.Image:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise InvalidImageError(f"{name} cannot be opened ({error.strerror}); check the path.") from error
    if not data:
        raise InvalidImageError(f"{name} is an empty file; give a PNG, JPEG, WebP, GIF, BMP or TIFF file.")
    prepare_heif(data, name)
    return Image.open(io.BytesIO(data))


def save_png(image: Image.Image, path: Path | str, recipe: Mapping[str, Any] | None = None) -> None:
    """Write a PNG whose text chunks hold the recipe, each key by itself and all as one JSON text.

    Written under a temporary name first.
    """
    info = PngImagePlugin.PngInfo()
    if recipe:
        info.add_itxt(RECIPE_KEY, json.dumps(dict(recipe), ensure_ascii=False))
        for key, value in recipe.items():
            info.add_itxt(key, str(value))
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)


def read_recipe(path: Path | str) -> dict[str, Any] | None:
    """Return the recipe that a PNG carries, or None where it carries none.

    Raises `InvalidImageError` for what is no image.
    """
    try:
        with Image.open(path) as image:
            text = getattr(image, "text", {}).get(RECIPE_KEY)
            recipe = json.loads(text) if text else None
    except Exception as error:
        raise InvalidImageError(
            f"'{Path(path).name}' cannot be read as an image; give a PNG file that the app "
            "or the command line made."
        ) from error
    return recipe if isinstance(recipe, dict) else None


def data_uri(image: Image.Image, largest: int) -> str:
    """An image to write into a page: PNG up to 256 px, else WebP with the longer side at most `largest` px."""
    out = io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(out, "PNG")
        return as_data_uri(out.getvalue(), "png")
    shown = ImageOps.contain(image, (largest, largest)) if max(image.size) > largest else image
    shown.save(out, "WEBP", quality=90)
    return as_data_uri(out.getvalue(), "webp")


def kind_of(data: bytes) -> str:
    """What browsers show of encoded images, told by the first bytes: "png", "webp", "gif", "jpeg", or ""."""
    return next((name for start, name in _KINDS.items() if data.startswith(start)), "")


def as_data_uri(data: bytes, kind: str) -> str:
    """An encoded image to write into a page. kind: "png", "webp", "gif" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
