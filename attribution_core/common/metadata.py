"""Texts that an image file carries beside its pixels: XMP, PNG text, EXIF, IPTC-IIM, comments."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ImageFile, IptcImagePlugin

from attribution_core.common.cells import replace_surrogates
from attribution_core.common.images import LIMITS, Limits, open_encoded
from attribution_core.common.xmp import PNG_KEY, packet_of, properties_of

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_TEXTS = {
    270: "ImageDescription",
    315: "Artist",
    33432: "Copyright",
    40092: "XPComment",
    40094: "XPKeywords",
    37510: "UserComment",
}
_EXIF_IFD = 0x8769
_IIM_TEXTS = {(2, 25): "Keywords", (2, 40): "Special Instructions", (2, 116): "Copyright Notice"}
_LONGEST = 20_000  # characters of one text


@dataclass(frozen=True)
class FileMetadata:
    """What a file carries.

    xmp: the packet, as it is. properties: of `xmp.properties_of`. texts: name -> text. unparsed: whether there is a
    packet that cannot be parsed.
    """

    xmp: bytes = b""
    properties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    unparsed: bool = False


def read_metadata(data: bytes, limits: Limits = LIMITS) -> FileMetadata:
    """Read an untrusted file's metadata; whatever is damaged, above the limits or no image counts as none."""
    texts: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_encoded(data, limits) as image:
                if image.width * image.height > limits.pixels:
                    return FileMetadata()
                if image.format == "PNG" and any(chunk in data for chunk in _TEXT_CHUNKS):
                    # Decodes the pixels, as text may follow them.
                    texts |= {str(k): str(v) for k, v in getattr(image, "text", {}).items() if k != PNG_KEY}
                for read in (_exif, _iim, _comment):
                    try:
                        texts |= read(image)
                    except Exception:  # one damaged block does not hide the others
                        continue
                properties = properties_of(image)
                return FileMetadata(
                    packet_of(image),
                    properties or {},
                    {name: replace_surrogates(text)[:_LONGEST] for name, text in texts.items() if text},
                    properties is None,
                )
        except Exception:  # decoders raise all kinds
            return FileMetadata()


def _exif(image: ImageFile.ImageFile) -> dict[str, str]:
    exif = image.getexif()
    tags = {**dict(exif), **exif.get_ifd(_EXIF_IFD)}
    return {name: _text(tags[tag]) for tag, name in _EXIF_TEXTS.items() if tag in tags}


def _iim(image: ImageFile.ImageFile) -> dict[str, str]:
    found = (IptcImagePlugin.getiptcinfo(image) if image.format in ("JPEG", "MPO", "TIFF") else None) or {}
    return {
        name: "; ".join(map(_text, value if isinstance(value, list) else [value]))
        for tag, name in _IIM_TEXTS.items()
        if (value := found.get(tag)) is not None
    }


def _comment(image: ImageFile.ImageFile) -> dict[str, str]:
    comment = image.info.get("comment")
    return {"Comment": _text(comment)} if comment else {}


def _text(value: Any) -> str:
    """A text, from bytes in UTF-8 or, as Windows writes them, UTF-16."""
    if isinstance(value, tuple) and all(isinstance(part, int) and 0 <= part < 256 for part in value):
        value = bytes(value)
    if not isinstance(value, bytes):
        return str(value)
    if len(value) > 3 and value[1::2].count(0) > len(value) // 4:
        return value.decode("utf-16-le", "replace").strip("\0")
    return value.decode("utf-8", "replace").replace("\0", " ").strip()
