"""Pictures with captions, and pairs of them side by side, written into the page, so that no file is made."""

from __future__ import annotations

import html
from collections.abc import Iterable

from PIL import Image

from attribution_core.common.images import data_uri

PICTURE = 256
"""Longer side in px of a picture of a pair."""


def figure(image: Image.Image, name: str, largest: int, note: str = "") -> str:
    """A picture and its caption. name: what is in it. largest: longer side in px. note: below it."""
    alt = html.escape(name, quote=True)
    words = f'<figcaption title="{alt}">{html.escape(note or name)}</figcaption>'
    return f'<figure><img src="{data_uri(image, largest)}" alt="{alt}">{words}</figure>'


def pairs_of(shown: Iterable[tuple[str, *tuple[tuple[Image.Image, str], ...]]]) -> str:
    """Prompts with pictures and a caption for each."""
    cells = (
        f'<div class="pair"><h3>{html.escape(prompt)}</h3><div>'
        + "".join(figure(image, f"{prompt}. {words}", PICTURE, words) for image, words in pictures)
        + "</div></div>"
        for prompt, *pictures in shown
    )
    return f'<div class="pairs">{"".join(cells)}</div>'
