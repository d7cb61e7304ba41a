"""Support for HEIC photographs, which Pillow opens if `pillow-heif` is installed."""

from __future__ import annotations

from functools import lru_cache

BRANDS = (b"heic", b"heix", b"heif", b"hevc", b"mif1", b"msf1")


def prepare_heif(data: bytes) -> bool:
    """Register Pillow's HEIC opener if an encoded image needs it; False if it does and `pillow-heif` is missing."""
    is_heif = data[4:8] == b"ftyp" and data[8:12] in BRANDS and b"avif" not in data[8:40]
    return not is_heif or _register()


@lru_cache(maxsize=1)
def _register() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
