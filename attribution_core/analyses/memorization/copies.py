"""Copy detection: an index of the training images, and the similarity from which on an image counts as a copy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.collection.collection import Collection
from attribution_core.collection.encode import encode_corpus
from attribution_core.collection.options import COPY_ENCODER
from attribution_core.common.arrays import normalized, whole
from attribution_core.common.cards import CARD_NAME, read_card
from attribution_core.common.json_text import read_json
from attribution_core.common.progress import OnProgress
from attribution_core.encoding.encoders import ENCODERS, SHIPPED, Encoder, load_encoder
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError, unknown_name
from attribution_core.retrieval.index import TrainingIndex

HOW_TO_ADD = (
    "this collection names no encoder that tells copies, so nothing can be said about copies; run its 'index' command "
    "again with --copy-encoder pocket-sscd (for drawings) or --copy-encoder sscd (for photographs), or, where it has "
    f'none, add "{COPY_ENCODER}": "pocket-sscd" to its card.json.'
)
_BLOCK = 64  # images between two words on progress
_FACTORY = "SQ8x2"
Float32Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Threshold:
    """The similarity from which on an image is called a copy, and how reliable that is.

    precision: the part of what is above that were copies, where copies and images without an original were as many.
    recall: the part of all copies that are above; None where nobody said. measured: on what, in words.
    """

    value: float
    precision: float
    recall: float | None
    measured: str


# What the authors of an encoder recommend, where it was not measured here.
_PUBLISHED = {
    "sscd": Threshold(
        0.75,
        0.9,
        None,
        "photographs of the DISC2021 challenge, by its authors (Pizzi et al., "
        "CVPR 2022) and not on this collection",
    )
}


def threshold_of(encoder: str, report: Path | None = None) -> Threshold | None:
    """An encoder's threshold: measured here, else as published, else None.

    report: file that `python -m pocket.encoders.report` wrote; default: the one that ships. Raises `CheckpointError` if
    it is damaged.
    """
    path = report or SHIPPED / "report.json"
    if path.exists():
        try:
            stored = read_json(path)
            if encoder in stored["encoders"]:
                copies = stored["encoders"][encoder]["copies"]
                # The report keeps precision as points over recall; the threshold's own lies on the line between two.
                recall, precision = np.array(copies["curve"], dtype=np.float64).T
                reached = float(copies["recall"])
                return Threshold(
                    float(copies["threshold"]),
                    float(np.interp(reached, recall, precision)),
                    reached,
                    str(stored["what"]),
                )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{path}' is no report of encoders ({type(error).__name__}: {error}); make it again "
                "with 'python -m pocket.encoders.report'."
            ) from error
    return _PUBLISHED.get(encoder)


def copy_encoder(collection: Collection) -> str | None:
    """The collection's copy-detection encoder; None where its card names none. Raises `UnknownNameError`."""
    name = collection.card.get(COPY_ENCODER)
    if name is not None and name not in ENCODERS:
        raise unknown_name("copy encoder", str(name), ENCODERS)
    return name


def is_stored(collection: Collection) -> bool:
    """Whether a method uses the copy encoder without mappers and its index exists: nothing has to be encoded."""
    name = copy_encoder(collection)
    method = None if name is None else _method_of(collection, name)
    return method is not None and (collection.index_folder(method) / CARD_NAME).is_file()


@dataclass(frozen=True, eq=False)
class CopyHits:
    """The training images most similar to one image. ids, similarity: (k,), most similar first."""

    ids: NDArray[np.int64]
    similarity: Float32Matrix


class CopyIndex:
    """Index of a collection's training images by its copy encoder."""

    def __init__(self, collection: Collection, index: TrainingIndex, device: str = "auto") -> None:
        """index: of the encoder's own features, one row an image. Raises `CollectionMismatchError` if it does not fit.

        Use `open`.
        """
        if len(index) != len(collection.corpus):
            raise CollectionMismatchError(
                f"{len(index)} copy features for {len(collection.corpus)} images of "
                f"'{collection.name}'; encode every image of the corpus, in its order."
            )
        self.collection, self.index, self.device = collection, index, device

    @classmethod
    def open(
        cls,
        collection: Collection,
        device: str = "auto",
        on_progress: OnProgress | None = None,
    ) -> CopyIndex:
        """Open the index of a method with the copy encoder and no mappers, or encode all training images now.

        on_progress: of the images, while they are encoded. Raises `InvalidInputError` where the
        collection names no copy encoder, `UnknownNameError` for one that there is not.
        """
        name = copy_encoder(collection)
        if name is None:
            raise InvalidInputError(HOW_TO_ADD)
        method = _method_of(collection, name)
        if method is not None:
            return cls(collection, Collection.open(collection.path, method, on_progress).index, device)
        rows = encode_corpus(collection.corpus, load_encoder(name, device), on_progress, _BLOCK)
        return cls(collection, TrainingIndex.build(normalized(rows), _FACTORY, name), device)

    @property
    def encoder_name(self) -> str:
        """The copy encoder."""
        return self.index.encoder

    @cached_property
    def encoder(self) -> Encoder:
        """The copy encoder, loaded on first use."""
        return load_encoder(self.encoder_name, self.device)

    def __len__(self) -> int:
        """Number of training images."""
        return len(self.index)

    def search(self, images: list[Image.Image], top: int) -> list[CopyHits]:
        """The `top` most similar to each image, cut to the size of the collection; of equals the first in the corpus.

        Raises `InvalidInputError` for a `top` below 1.
        """
        top = min(whole("top", top, 1), len(self))
        hits = self.index.nearest(normalized(self.encoder.encode(images)), top)
        return [CopyHits(ids, similarity) for ids, similarity in zip(hits.ids, hits.similarity, strict=True)]


def _method_of(collection: Collection, name: str) -> str | None:
    """Return a method of that encoder without mappers; None if there is none."""
    for method in collection.methods:
        card = read_card(collection.layout.mappers(method))
        if (card.get("encoder"), card.get("kind")) == (name, "identity"):
            return method
    return None
