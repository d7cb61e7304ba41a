"""A collection, everything needed to attribute over one training set, and the attributor that does it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.attribution.result import Attribution, Credit
from attribution_core.common.cards import part_folder, read_card, write_card
from attribution_core.common.images import read_image
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import ENCODERS, load_encoder
from attribution_core.encoding.protocol import ImageEncoder
from attribution_core.errors import (
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
    NotFittedError,
    UnknownNameError,
    unknown_name,
)
from attribution_core.mapping.pair import MapperPair
from attribution_core.release.convert import write_release
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.scoring.shares import Hits
from attribution_core.settings import shipped

_METHODS = "methods"
_OWN = "own"  # what a collection's own method is called where its card does not name it


@dataclass(frozen=True, eq=False)
class Collection:
    """One training set, ready to attribute over; see `open` and `create`.

    name: shown to people. method: how it attributes, an encoder with its mappers; one of `methods`. encoder_name: row
    in `ENCODERS`. generator_path: a diffusers folder, or None.
    """

    name: str
    path: Path
    corpus: Corpus
    encoder_name: str
    mappers: MapperPair
    index: TrainingIndex
    calibrator: Calibrator
    card: Mapping[str, Any] = field(repr=False)
    method: str = ""

    def __post_init__(self) -> None:
        """Check that the parts belong together. Raises `CollectionMismatchError` naming the two that do not."""
        for part, encoder in (
            ("mappers", self.mappers.encoder),
            ("index", self.index.encoder),
            ("calibrator", self.calibrator.encoder),
        ):
            if encoder != self.encoder_name:
                raise CollectionMismatchError(
                    f"collection '{self.name}' uses encoder '{self.encoder_name}', its "
                    f"{part} '{encoder}'; build the {part} again."
                )
        if self.mappers.out_dim != self.index.dim:
            raise CollectionMismatchError(
                f"collection '{self.name}': mappers give {self.mappers.out_dim} values, "
                f"the index holds {self.index.dim}; build the index again."
            )
        if len(self.corpus) != len(self.index):
            raise CollectionMismatchError(
                f"collection '{self.name}': {len(self.corpus)} images in the corpus, "
                f"{len(self.index)} in the index; build the index again."
            )

    @classmethod
    def open(cls, directory: Path | str, method: str | None = None) -> Collection:
        """Open a collection's folder.

        method: another of its `methods` than the one that it was made for. Raises `CheckpointError` for what is
        missing or damaged, `CollectionMismatchError` for parts that do not belong together, `UnknownNameError` for a
        method that it does not have.
        """
        folder = Path(directory)
        if folder == shipped("pocket") and not folder.exists():
            raise CheckpointError(
                f"'{folder}' is not there: an installed package holds nothing of what ships. Clone "
                "the repository and set ATTRIBUTION_CHECKPOINTS to its folder 'checkpoints', or name "
                "a collection of your own."
            )
        card = read_card(folder)
        own, others = str(card.get("method", _OWN)), _other_methods(folder)
        if method not in (None, own, *others):
            raise unknown_name("method", str(method), [own, *others])
        parts = _parts(folder, own, method or own)
        encoder = str((card if parts == folder else read_card(parts)).get("encoder", ""))
        fitted = (parts / "calibrator/card.json").exists()
        calibrator = Calibrator.load(parts / "calibrator", encoder=encoder) if fitted else Calibrator(encoder)
        index = _index(folder, parts, card)
        corpus = Corpus.open(part_folder(folder, card, "corpus"))
        return cls(
            str(card.get("name", folder.name)),
            folder,
            corpus,
            encoder,
            MapperPair.load(parts / "mappers", encoder=encoder),
            TrainingIndex.load(index, encoder=encoder),
            calibrator,
            card,
            method or own,
        )

    @classmethod
    def create(
        cls,
        directory: Path | str,
        *,
        name: str,
        encoder: str,
        features: NDArray[np.float32],
        mappers: MapperPair | None = None,
        factory: str = "SQfp16",
        calibrator: Calibrator | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> Collection:
        """Make mappers, index and card beside a corpus that is already in `directory`/corpus, and open it.

        features: (n, d) float32, raw, one row an image of the corpus, in its order. mappers: identity by
        default. calibrator: saved if given; without one, attributing needs a temperature. card: more for the card;
        its "method" names what is made here, where `add_method` adds others.
        Raises `CollectionMismatchError` if rows and images differ in number.
        """
        folder = Path(directory)
        _write_parts(folder, folder, encoder, features, mappers, factory, calibrator)
        write_card(folder, {**(card or {}), "name": name, "encoder": encoder, "n_training": len(features)})
        return cls.open(folder)

    @classmethod
    def from_release(
        cls,
        directory: Path | str,
        *,
        features: Path | str,
        encoder: str,
        mappers: Path | str | None = None,
        calibrator: Path | str | None = None,
        captions: Path | str | None = None,
        images: Path | str | None = None,
        factory: str = "SQfp16",
        name: str = "LAION subset",
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> Collection:
        """Make a collection of files in the formats of the paper's release, block by block, and open it.

        directory: new, or left by an interrupted call. features: `feats/<encoder>/laion_subset.pth`. encoder: name of
        its row, or the release's ("clip", "dino", "moco", "vit", "sscd"). mappers, calibrator: `*_tuned.pth`; identity
        and none by default. captions: as of `open_texts`. images: folder of the pictures, which is linked to; without
        it the app shows captions and links. on_progress: called with ("captions" or "features", images done, of all).
        Raises `CheckpointError` for files that are missing or of another format, or a folder that holds something
        else, `CollectionMismatchError` for files that do not belong together, `UnknownNameError` for a factory,
        `InvalidInputError` for a folder without these images.
        """
        return cls.open(
            write_release(
                directory,
                features=features,
                encoder=encoder,
                mappers=mappers,
                calibrator=calibrator,
                captions=captions,
                images=images,
                factory=factory,
                name=name,
                on_progress=on_progress,
            )
        )

    def add_method(
        self,
        method: str,
        *,
        encoder: str,
        features: NDArray[np.float32],
        mappers: MapperPair | None = None,
        factory: str = "SQfp16",
        calibrator: Calibrator | None = None,
    ) -> Collection:
        """Make mappers and index of another encoder or other mappers beside this collection's own, and open it so.

        method: a new name of letters, digits, spaces and .,+-; what is there under that name is written anew. The
        rest as of `create`. Raises `InvalidInputError` for a name that is no such name or the collection's own.
        """
        if not re.fullmatch(r"\w[\w .,+-]*", method) or method == self.methods[0]:
            raise InvalidInputError(
                f"method {method!r} is the collection's own, or no name of letters, digits, spaces "
                "and .,+-; give another."
            )
        parts = self.parts_of(method)
        _write_parts(self.path, parts, encoder, features, mappers, factory, calibrator)
        write_card(parts, {"what": f"another method of the collection '{self.name}'", "encoder": encoder})
        return Collection.open(self.path, method)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all its methods, its own first."""
        return str(self.card.get("method", _OWN)), *_other_methods(self.path)

    @property
    def parts(self) -> Path:
        """Folder of its mappers, index and calibrator."""
        return self.parts_of(self.method)

    def parts_of(self, method: str) -> Path:
        """The same folder of one of its methods."""
        return _parts(self.path, self.methods[0], method)

    def index_of(self, method: str) -> Path:
        """Folder of the index of one of its methods."""
        return _index(self.path, self.parts_of(method), self.card)

    @property
    def generator_path(self) -> Path | None:
        """The diffusers folder of the model that was trained on this collection, or None."""
        path = self.path / "generator"
        return path if (path / "model_index.json").exists() else None


def _parts(folder: Path, own: str, method: str) -> Path:
    return folder if method == own else folder / _METHODS / method


def _index(folder: Path, parts: Path, card: Mapping[str, Any]) -> Path:
    """Where the index of a method lies; the collection's card tells the edition of its own method's alone."""
    return part_folder(parts, card if parts == folder else {}, "index")


def _other_methods(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in (folder / _METHODS).glob("*/card.json"))


def _write_parts(
    folder: Path,
    parts: Path,
    encoder: str,
    features: NDArray[np.float32],
    mappers: MapperPair | None,
    factory: str,
    calibrator: Calibrator | None,
) -> None:
    """Mappers, index and calibrator of the corpus in `folder`, into `parts`."""
    pair = mappers or MapperPair.identity(features.shape[1], encoder=encoder)
    card = read_card(folder) if parts != folder else {}
    count = len(Corpus.open(part_folder(folder, card, "corpus")))
    if count != len(features):
        raise CollectionMismatchError(
            f"{len(features)} feature rows for {count} images; encode every image "
            "of the corpus, in its order."
        )
    pair.save(parts / "mappers")
    index = TrainingIndex.build(pair.map_training(features), factory, encoder, home=parts / "index")
    index.save(parts / "index")
    if calibrator is not None:
        calibrator.save(parts / "calibrator")


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
        """Rows of images as training images, (n, m) float32 unit rows: what the index holds of the corpus."""
        return self.collection.mappers.map_training(self.encoder.encode(images))

    def attribute(
        self,
        image: Image.Image | Path | str,
        top: int = 100,
        temperature: float | None = None,
        added: Sequence[Added] = (),
    ) -> Attribution:
        """List the training images that most likely influenced an image, with calibrated shares.

        image: PIL image or path. top: how many to list, cut to the size of the collection. temperature: in
        place of the fitted one. added: more candidates, as if they had been trained on; all of them are listed beside
        the `top`, with ids that go on behind the corpus. Raises `InvalidImageError`, `InvalidInputError`, and
        `NotFittedError` where the collection has no calibrator and no temperature is given.
        """
        if top < 1:
            raise InvalidInputError(f"top is {top}, expected at least 1.")
        collection, calibrator = self.collection, self.collection.calibrator
        if temperature is None and not calibrator.is_fitted:
            raise NotFittedError(
                f"collection '{collection.name}' has no fitted calibrator; give a temperature "
                "(--temperature 0.02, say) or copy a 'calibrator' folder that was fitted for "
                f"encoder '{collection.encoder_name}'."
            )
        query = collection.mappers.map_query(self.encoder.encode([read_image(image)]))
        hits = collection.index.search(query, min(top, len(collection.index)))
        credits = collection.corpus.credits([int(i) for i in hits.ids[0]])
        if added:
            hits, credits = self._with(hits, credits, query, added)
        fitted = calibrator.temperature_ if calibrator.is_fitted else float(temperature or 0)
        return Attribution.from_hits(
            hits,
            credits,
            temperature=fitted if temperature is None else temperature,
            fitted_temperature=fitted,
            collection=collection.name,
            encoder=collection.encoder_name,
            bias=calibrator.bias_ if calibrator.is_fitted else None,
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
