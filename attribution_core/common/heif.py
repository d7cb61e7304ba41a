"""HEIC photographs, which Pillow opens where `pillow-heif` is installed."""

from __future__ import annotations

from functools import lru_cache

from attribution_core.errors import InvalidImageError

_BRANDS = (b"heic", b"heix", b"heif", b"hevc", b"mif1", b"msf1")


def prepare_heif(data: bytes, name: str) -> None:
    """Let Pillow open an image where it is a HEIC one. Raises `InvalidImageError` where the package is missing.

    data: of the encoded image. name: what it is called, for the error.
    """
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS and b"avif" not in data[8:40] and not _registered():
        raise InvalidImageError(
            f"{name} is a HEIC image, which needs `pip install pillow-heif`; install it, or save it as JPEG."
        )


@lru_cache(maxsize=1)
def _registered() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
