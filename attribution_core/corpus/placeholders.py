"""Placeholder pictures for training images that a collection does not hold."""

from __future__ import annotations

import functools
import io
import textwrap

from PIL import Image, ImageDraw, ImageFont

from attribution_core.corpus.credit import Credit

SIDE = 320
_LINES, _COLUMNS = 5, 26
_PAPER, _SHAPE, _INK = "#e5e7eb", "#9ca3af", "#374151"


def tile(credit: Credit) -> bytes:
    """Return the placeholder of an image, labelled with its caption or else its file name."""
    return placeholder(credit.short_caption or credit.caption or credit.id.rsplit("/", 1)[-1])


@functools.lru_cache(maxsize=256)
def placeholder(caption: str = "") -> bytes:
    """Return a PNG of `SIDE` x `SIDE` px with a picture icon and, if the font has its letters, the caption."""
    tile = Image.new("RGB", (SIDE, SIDE), _PAPER)
    draw = ImageDraw.Draw(tile)
    draw.rounded_rectangle([110, 16, 210, 92], 8, outline=_SHAPE, width=5)
    draw.ellipse([128, 32, 144, 48], fill=_SHAPE)
    draw.polygon([(120, 83), (150, 52), (168, 70), (182, 58), (200, 83)], fill=_SHAPE)
    words = " ".join(caption.split())
    if words and all(ord(letter) < 0x180 for letter in words):  # the font has Latin letters only
        lines = textwrap.wrap(words, _COLUMNS, max_lines=_LINES, placeholder=" …")
        for number, line in enumerate(lines):
            draw.text((SIDE / 2, 136 + 26 * number), line, _INK, ImageFont.load_default(22), anchor="ma")
    draw.text((SIDE / 2, 100), "not stored here", _INK, ImageFont.load_default(17), anchor="ma")
    buffer = io.BytesIO()
    tile.save(buffer, "PNG")
    return buffer.getvalue()
