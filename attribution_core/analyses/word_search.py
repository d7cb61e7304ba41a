"""Training images by what words mean, whatever their captions say: through an encoder with a text side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card
from attribution_core.encoding.text import TEXT_SIDES, TextEncoder, load_text_encoder
from attribution_core.errors import CollectionMismatchError
from attribution_core.mapping.heads import MapperKind


def method_with_text(collection: Collection) -> str | None:
    """The collection's method to search by words with: of those whose encoder has a text side, one without mappers.

    Mappers are fitted to images, and move texts away from what they describe: where all methods have some, the first.
    None where no encoder has a text side.
    """
    layout = collection.layout

    def encoder(method: str) -> str:
        return str(read_card(layout.method(method)).get("encoder", ""))

    able = [method for method in collection.methods if encoder(method) in TEXT_SIDES]
    bare = [m for m in able if read_card(layout.mappers(m)).get("kind") == str(MapperKind.IDENTITY)]
    return next(iter([*bare, *able]), None)


class WordSearch:
    """Searches the index of a method from `method_with_text`."""

    def __init__(self, collection: Collection, encoder: TextEncoder | None = None) -> None:
        """collection: opened with that method. encoder: loaded by default. Raises `CollectionMismatchError`."""
        self.collection = collection
        self.encoder = encoder or load_text_encoder(collection.encoder_name)
        if self.encoder.name != collection.encoder_name:
            raise CollectionMismatchError(
                f"the texts are encoded by '{self.encoder.name}', the images by '{collection.encoder_name}'."
            )

    def nearest(self, words: str, top: int) -> NDArray[np.int64]:
        """Positions of the `top` images nearest to the words, nearest first.

        Near is relative: there is always a nearest image, also to a word that means nothing.
        """
        collection = self.collection
        row = collection.mappers.map_training(self.encoder.encode([words]))
        return collection.index.nearest(row, min(top, len(collection.corpus))).ids[0]
