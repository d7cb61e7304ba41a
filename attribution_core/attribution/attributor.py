"""The attributor: estimates the influence of a collection's training images on any image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.common.images import read_image
from attribution_core.corpus.credit import Credit
from attribution_core.encoding.encoders import ENCODERS, load_encoder
from attribution_core.encoding.protocol import ImageEncoder
from attribution_core.errors import (
    CollectionMismatchError,
    InvalidInputError,
    NotFittedError,
    UnknownNameError,
)
from attribution_core.retrieval.hits import Hits
from attribution_core.scoring.calibrator import USUAL_TEMPERATURE
from attribution_core.scoring.shares import Scale


@dataclass(frozen=True)
class Added:
    """An image that joins a collection's candidates for one query. credit: what is said of it where it is listed.

    row: (m,) float32, its row of `Attributor.embed` where that is known; else it is embedded at each query.
    """

    image: Image.Image = field(repr=False)
    credit: Credit = field(default_factory=Credit)
    row: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


class Attributor:
    """Estimates the influence of a collection's training images on any image."""

    def __init__(
        self, collection: Collection, device: str = "auto", encoder: ImageEncoder | None = None
    ) -> None:
        """device: "auto", "cpu", "cuda" or "mps"; the encoder is loaded at the first query.

        encoder: what to encode with, in place of the table's row; the one that the collection was made with. Raises
        `CollectionMismatchError` where it is another.
        """
        self.collection = collection
        self.device = device
        if encoder is not None:
            if encoder.name != collection.encoder_name:
                raise CollectionMismatchError(
                    f"collection '{collection.name}' was made with encoder "
                    f"'{collection.encoder_name}', given '{encoder.name}'; give that one, or "
                    "make the collection again."
                )
            self.encoder = encoder

    @cached_property
    def encoder(self) -> ImageEncoder:
        """The collection's encoder. Raises what `load_encoder` raises."""
        name = self.collection.encoder_name
        if name not in ENCODERS:
            raise UnknownNameError(
                f"collection '{self.collection.name}' was made with '{name}', which is not in the "
                "table of encoders; hand yours over: Attributor(collection, encoder=...)."
            )
        return load_encoder(name, device=self.device)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embed images as the index holds the training images: (n, m) float32 unit rows."""
        return self.collection.mappers.map_training(self.encoder.encode(images))

    def attribute(
        self,
        image: Image.Image | Path | str,
        top: int = 100,
        temperature: float | None = None,
        added: Sequence[Added] = (),
        made_by: MadeBy = MadeBy.UNKNOWN,
    ) -> Attribution:
        """List the training images that most likely influenced an image, with calibrated shares.

        image: PIL image or path. top: how many to list, cut to the size of the collection. temperature: in
        place of the fitted one. added: more candidates, as if they had been trained on; all of them are listed beside
        the `top`, with ids that go on behind the corpus. made_by: noted in the answer; see `origin.made_by`.
        Raises `InvalidImageError`, `InvalidInputError`, and
        `NotFittedError` where the collection has no calibrator and no temperature is given,
        `CollectionMismatchError` where its images have changed since it was opened.
        """
        scale = self._scale(top, temperature)
        query = self._query([read_image(image)])
        hits = self._search(query, top)
        credits = self.collection.corpus.credits([int(i) for i in hits.ids[0]])
        if added:
            hits, credits = self._with(hits, credits, query, added)
        return self._attribution(hits, credits, scale, made_by)

    def attribute_all(
        self,
        images: Sequence[Image.Image],
        top: int = 100,
        temperature: float | None = None,
        made_by: Sequence[MadeBy] | None = None,
    ) -> list[Attribution]:
        """The same for several images, which are encoded together and searched for in one pass.

        images: RGB, as `read_image` gives them; all are in memory at once. made_by: one for each image. Raises as
        `attribute` does.
        """
        scale = self._scale(top, temperature)
        if not images:
            return []
        origins = [MadeBy.UNKNOWN] * len(images) if made_by is None else made_by
        if len(origins) != len(images):
            raise InvalidInputError(f"{len(origins)} origins are given for {len(images)} images.")
        hits = self._search(self._query(images), top)
        credits = self.collection.corpus.credits([int(i) for i in hits.ids.ravel()])
        listed = hits.ids.shape[1]
        return [
            self._attribution(hits.of(k), credits[k * listed : (k + 1) * listed], scale, origin)
            for k, origin in enumerate(origins)
        ]

    def _scale(self, top: int, temperature: float | None) -> Scale:
        """Check what is asked for before anything is computed."""
        if top < 1:
            raise InvalidInputError(f"top is {top}, expected at least 1.")
        collection, calibrator = self.collection, self.collection.calibrator
        collection.check_unchanged()
        if temperature is None and not calibrator.is_fitted:
            raise NotFittedError(
                f"collection '{collection.name}' has no fitted calibrator; give a temperature "
                f"(--temperature {USUAL_TEMPERATURE}, say) or copy a 'calibrator' folder that was fitted for "
                f"encoder '{collection.encoder_name}'."
            )
        return calibrator.scale(temperature)

    def _query(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return self.collection.mappers.map_query(self.encoder.encode(images))

    def _search(self, queries: NDArray[np.float32], top: int) -> Hits:
        index = self.collection.index
        return index.search(queries, min(top, len(index)))

    def _attribution(
        self, hits: Hits, credits: tuple[Credit, ...], scale: Scale, made_by: MadeBy
    ) -> Attribution:
        collection, calibrator = self.collection, self.collection.calibrator
        fitted = calibrator.temperature_ if calibrator.is_fitted else scale.temperature
        return Attribution(
            hits,
            credits,
            scale,
            fitted,
            collection.name,
            collection.encoder_name,
            made_by,
            collection.method,
        )

    def _with(
        self, hits: Hits, credits: tuple[Credit, ...], query: NDArray[np.float32], added: Sequence[Added]
    ) -> tuple[Hits, tuple[Credit, ...]]:
        """The hits with more candidates among them; of equals, the training image comes first."""
        rows = self._rows(added)
        similarity = np.concatenate([hits.similarity[0], np.clip(rows @ query[0], -1, 1)])
        ids = np.concatenate([hits.ids[0], len(self.collection.index) + np.arange(len(added))])
        every = (*credits, *(a.credit for a in added))
        order = np.argsort(-similarity, kind="stable")
        merged = Hits(ids[order][None], similarity[order][None], hits.rest)
        return merged, tuple(every[k] for k in order)

    def _rows(self, added: Sequence[Added]) -> NDArray[np.float32]:
        """(n, m) of the added images; those that bring no row are embedded. Raises `CollectionMismatchError`."""
        rows = np.zeros((len(added), self.collection.index.dim), dtype=np.float32)
        for k, one in enumerate(added):
            if one.row is not None and one.row.shape != rows[k].shape:
                raise CollectionMismatchError(
                    f"an added image has a row of shape {one.row.shape}, expected "
                    f"{rows[k].shape}; embed it with this collection's method."
                )
            if one.row is not None:
                rows[k] = one.row
        bare = [k for k, one in enumerate(added) if one.row is None]
        if bare:
            rows[bare] = self.embed([added[k].image for k in bare])
        return rows
