"""A collection: everything needed to attribute over one training set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.collection.derived_index import cached_index, derived_index
from attribution_core.collection.layout import (
    OWN_METHOD,
    index_folder,
    other_methods,
    part_folder,
    parts_folder,
)
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.progress import OnProgress
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError, unknown_name
from attribution_core.mapping.pair import MapperPair
from attribution_core.release.convert import write_release
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.settings import shipped


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
    def open(
        cls, directory: Path | str, method: str | None = None, on_progress: OnProgress | None = None
    ) -> Collection:
        """Open a collection's folder.

        method: another of its `methods` than the one that it was made for; where its index is not stored, it is made
        now and cached. on_progress: of that. Raises `CheckpointError` for what is missing or damaged,
        `CollectionMismatchError` for parts that do not belong together, `UnknownNameError` for a method that it does
        not have.
        """
        folder = Path(directory)
        if folder == shipped("pocket") and not folder.exists():
            raise CheckpointError(
                f"'{folder}' is not there: an installed package holds nothing of what ships. Clone "
                "the repository and set ATTRIBUTION_CHECKPOINTS to its folder 'checkpoints', or name "
                "a collection of your own."
            )
        card = read_card(folder)
        own, others = str(card.get("method", OWN_METHOD)), other_methods(folder)
        if method not in (None, own, *others):
            raise unknown_name("method", str(method), [own, *others])
        parts = parts_folder(folder, own, method or own)
        encoder = str((card if parts == folder else read_card(parts)).get("encoder", ""))
        fitted = (parts / "calibrator/card.json").exists()
        calibrator = Calibrator.load(parts / "calibrator", encoder=encoder) if fitted else Calibrator(encoder)
        corpus = Corpus.open(part_folder(folder, card, "corpus"))
        mappers = MapperPair.load(parts / "mappers", encoder=encoder)
        place = index_folder(folder, parts, card)
        if parts == folder or place.exists():
            index = TrainingIndex.load(place, encoder=encoder)
        else:
            place = cached_index(corpus.path, parts / "mappers", encoder)
            index = derived_index(place, corpus, mappers, encoder, on_progress)
        return cls(
            str(card.get("name", folder.name)),
            folder,
            corpus,
            encoder,
            mappers,
            index,
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
        on_progress: OnProgress | None = None,
    ) -> Collection:
        """Make a collection of files in the formats of the paper's release, block by block, and open it.

        directory: new, or left by an interrupted call. features: `feats/<encoder>/laion_subset.pth`. encoder: name of
        its row, or the release's ("clip", "dino", "moco", "vit", "sscd"). mappers, calibrator: `*_tuned.pth`; identity
        and none by default. captions: as of `open_texts`. images: folder of the pictures, which is linked to; without
        it the app shows captions and links. Stages of on_progress: "captions" and "features".
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

    def check_unchanged(self) -> None:
        """Raise `CollectionMismatchError` where images came or went since this was opened."""
        card = read_card(self.path)
        if any(card.get(key) != self.card.get(key) for key in ("edition", "n_training", "built")):
            raise CollectionMismatchError(
                f"the collection '{self.name}' has changed since it was opened; reload it (start the app again), "
                "and attribute anew."
            )

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all its methods, its own first."""
        return str(self.card.get("method", OWN_METHOD)), *other_methods(self.path)

    @property
    def parts(self) -> Path:
        """Folder of its mappers, index and calibrator."""
        return self.parts_of(self.method)

    def parts_of(self, method: str) -> Path:
        """The same folder of one of its methods."""
        return parts_folder(self.path, self.methods[0], method)

    def index_of(self, method: str) -> Path:
        """Folder of the index of one of its methods, in the user's cache where the collection's own leaves it out.

        Not there before such an index is first used.
        """
        parts = self.parts_of(method)
        place = index_folder(self.path, parts, self.card)
        if parts == self.path or place.exists():
            return place
        return cached_index(self.corpus.path, parts / "mappers", str(read_card(parts).get("encoder", "")))

    @property
    def generator_path(self) -> Path | None:
        """The diffusers folder of the model that was trained on this collection, or None."""
        path = self.path / "generator"
        return path if (path / "model_index.json").exists() else None


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
