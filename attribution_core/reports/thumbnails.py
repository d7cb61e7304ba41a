"""Training images small enough to be written into a page."""

from __future__ import annotations

from attribution_core.common.images import as_data_uri, data_uri, kind_of
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.placeholders import tile

LARGEST_THUMBNAIL = 256
"""Longer side in px; smaller images stay as they are."""
_AS_STORED = 40_000  # bytes; a training image up to this goes in as its file


def thumbnail_uri(corpus: Corpus, position: int) -> str:
    """A data URI of the image at `position`, or of a tile with its caption where the corpus holds no picture."""
    data = corpus.image_bytes(position) if corpus.has_image(position) else tile(corpus.credit(position))
    kind = kind_of(data)
    if kind and len(data) <= _AS_STORED:
        return as_data_uri(data, kind)
    return data_uri(corpus.image(position), LARGEST_THUMBNAIL)
