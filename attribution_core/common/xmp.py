"""XMP packets of image files: written for a few properties, and read within limits through Pillow and defusedxml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from attribution_core.common.cells import UNREADABLE

MAX_WRITTEN = 65_000
"""Bytes: what fits into one segment of a JPEG. Longer packets are not written."""
MAX_READ = 2_000_000
"""Bytes; longer packets are not parsed."""
PNG_KEY = "XML:com.adobe.xmp"
"""Keyword of the text chunk that holds a PNG's packet."""
_NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "attribution": "urn:attribution-explorer:1.0#",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 20_000  # characters of one text
_SYNTAX = frozenset({"about", "lang", "parseType"})
_TIFF_TAG = 700


def packet(properties: Mapping[str, str]) -> bytes:
    """Write a packet; empty values are left out.

    properties: "prefix:Name" -> text, with the prefixes Iptc4xmpExt, plus and attribution. Returns UTF-8, b"" if
    nothing is left.
    """
    lines = [
        f"<{name}>{escape(_NOT_XML.sub(UNREADABLE, text))}</{name}>"
        for name, text in properties.items()
        if text
    ]
    if not lines:
        return b""
    prefixes = sorted({name.partition(":")[0] for name, text in properties.items() if text})
    spaces = " ".join(f'xmlns:{prefix}="{_NAMESPACES[prefix]}"' for prefix in prefixes)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces}>\n' + "\n".join(lines) + "\n</rdf:Description></rdf:RDF>"
        '</x:xmpmeta>\n<?xpacket end="w"?>'
    ).encode()


def packet_of(image: Image.Image) -> bytes:
    """Return an opened image's packet as it is, however long or damaged; b"" if it has none."""
    found = image.info.get("xmp") or getattr(image, "tag_v2", {}).get(_TIFF_TAG) or b""
    return found.encode(errors="replace") if isinstance(found, str) else bytes(found)


def properties_of(image: Image.Image) -> dict[str, tuple[str, ...]] | None:
    """Return an opened image's properties: name without prefix -> texts, several for a list.

    Empty without a packet; None if it cannot be parsed: damaged, too large, or with entities or too many levels.
    """
    data = packet_of(image)
    if not data:
        return {}
    if len(data) > MAX_READ:
        return None
    try:
        root = image.getxmp()
    except (ValueError, SyntaxError, RecursionError, TypeError):  # the parser's; a TIFF's packet may be a str
        return None
    found: dict[str, tuple[str, ...]] = {}
    for description in _list(_child(_child(_child(root, "xmpmeta") or root, "RDF"), "Description")):
        for name, value in (description if isinstance(description, dict) else {}).items():
            if texts := tuple(_texts(value)):
                found[name] = found.get(name, ()) + texts
    return found


def _child(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, whatever structures it has."""
    if isinstance(value, str):
        if value.strip():
            yield value.strip()[:_LONGEST]
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in _SYNTAX:
                yield from _texts(part)
