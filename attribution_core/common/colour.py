"""Converts images of any mode and colour profile to 8-bit sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_MODES = {
    "GRAY": "L",
    "RGB ": "RGB",
    "CMYK": "CMYK",
    "LAB ": "LAB",
}  # a profile's colour space -> Pillow's mode
_FULL = (1.0, 255.0, 65535.0)  # possible values of white in float and integer images
_OVERSHOOT = 1.1  # resampling and sharpening can exceed white a little
_EQUAL = 2  # levels; a profile that changes no colour by more is effectively sRGB
_LATTICE = 6
_LARGEST = 4_000_000  # bytes of a profile; those of printing presses have about two million


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image to mode RGB in sRGB, without a profile.

    Colour profiles are applied, transparency is composited on white, and grey of more than 8 bits is scaled: white may
    be 1, 255 or 65,535 in floats, with a few values beyond or missing. As in image viewers, a profile is ignored if it
    is damaged, over 4 MB, or for another colour space than the pixels.
    """
    profile = image.info.get("icc_profile")
    if profile and len(profile) > _LARGEST:
        profile = None
    if image.mode[0] in "IF":  # PIL's own conversion clips at 255 and shows white
        image = Image.fromarray(_eight_bits(image))
    elif image.mode in ("LA", "La"):
        image = image.convert("LA")
    elif image.mode == "P" or image.has_transparency_data:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("RGBA", "LA"):
        rgb = _with_profile(image.convert(image.mode.removesuffix("A")), profile)
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(rgb, mask=image.getchannel("A"))
        return canvas
    rgb = _with_profile(image, profile)
    rgb.info.pop("icc_profile", None)
    return rgb


def _eight_bits(image: Image.Image) -> Any:
    """Scale grey in 16-bit or 32-bit integers, or floats, to (height, width) uint8."""
    values = np.asarray(image, dtype=np.float64)
    if image.mode.startswith("I;16"):
        full = 65535.0
    else:
        known = values[np.isfinite(values)]
        # A few huge floats may mean "no data", so use a percentile; integers are taken as they are.
        high = 1.0 if not known.size else float(np.percentile(known, 99.5 if image.mode == "F" else 100))
        steps = [white * _OVERSHOOT for white in _FULL] if image.mode == "F" else _FULL[1:]
        full = next(
            (white for white, most in zip(_FULL[-len(steps) :], steps, strict=True) if high <= most), high
        )
    scaled = np.nan_to_num(values, nan=0.0, posinf=full, neginf=0.0) * (255.0 / full)
    return np.clip(scaled.round(), 0, 255).astype(np.uint8)


def _with_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to mode RGB, using the profile if it fits the pixels."""
    if image.mode in ("1", "YCbCr", "HSV"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile, image.mode) if profile else None
    if transform is None and image.mode == "LAB":
        transform = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
    if transform is None:
        return image.convert("RGB")
    return ImageCms.applyTransform(image, transform) or image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if the profile does not fit the mode or changes nothing."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _MODES.get(opened.profile.xcolor_space) != mode:
            return None
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(opened))
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", intent)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode in ("RGB", "L"):
        levels = np.linspace(0, 255, _LATTICE if mode == "RGB" else 256).round().astype(np.uint8)
        grid = (
            np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
            if mode == "RGB"
            else levels[None]
        )
        colours = Image.fromarray(grid)
        after = ImageCms.applyTransform(colours, transform)
        if (
            after is None
            or np.abs(np.asarray(after, int) - np.asarray(colours.convert("RGB"), int)).max() <= _EQUAL
        ):
            return None
    return transform
