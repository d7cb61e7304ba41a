"""HEIC photographs, which Pillow opens where `pillow-heif` is installed."""

from __future__ import annotations

from functools import lru_cache

BRANDS = (b"heic", b"heix", b"heif", b"hevc", b"mif1", b"msf1")


def prepare_heif(data: bytes) -> bool:
    """Let Pillow open an image where it is a HEIC one; False where it is, and the package is missing.

    data: of the encoded image.
    """
    is_heif = data[4:8] == b"ftyp" and data[8:12] in BRANDS and b"avif" not in data[8:40]
    return not is_heif or _registered()


@lru_cache(maxsize=1)
def _registered() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
