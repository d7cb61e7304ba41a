"""A collection: everything needed to attribute images to one training set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.collection.derived_index import cached_index, derived_index
from attribution_core.collection.from_release import write_release
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import CARD_NAME, read_card, write_card
from attribution_core.common.progress import OnProgress
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError, unknown_name
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.backends import AUTO
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.settings import shipped


@dataclass(frozen=True, eq=False)
class Collection:
    """One training set, ready for attribution; see `open` and `create`.

    name: for people. method: the one of `methods` that is open, an encoder with its mappers, index and calibrator.
    encoder_name: a row in `ENCODERS`, or your own encoder. card: the content of `card.json`.
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
        """Check that the parts belong together. Raises `CollectionMismatchError` that names a part that does not."""
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

        method: one of its `methods`, by default its own; if the folder leaves out the index of another one, it is
        computed now and cached. on_progress: of that. Raises `CheckpointError` if something is missing or damaged,
        `CollectionMismatchError` if its parts do not belong together, `UnknownNameError` for an unknown method.
        """
        folder = Path(directory)
        if folder == shipped("pocket") and not folder.exists():
            raise CheckpointError(
                f"'{folder}' does not exist: an installed package does not include the bundled collection. Clone "
                "the repository and set ATTRIBUTION_CHECKPOINTS to its folder 'checkpoints', or name "
                "a collection of your own."
            )
        layout = CollectionLayout.read(folder)
        if method not in (None, *layout.methods):
            raise unknown_name("method", str(method), layout.methods)
        method = method or layout.methods[0]
        own = layout.method(method) == folder
        encoder = str((layout.card if own else read_card(layout.method(method))).get("encoder", ""))
        fitted = (layout.calibrator(method) / CARD_NAME).exists()
        corpus = Corpus.open(layout.corpus)
        mappers = MapperPair.load(layout.mappers(method), encoder=encoder)
        if own or layout.index(method).exists():
            index = TrainingIndex.load(layout.index(method), encoder=encoder)
        else:
            cached = cached_index(corpus.path, layout.mappers(method), encoder)
            index = derived_index(cached, corpus, mappers, encoder, on_progress)
        return cls(
            str(layout.card.get("name", folder.name)),
            folder,
            corpus,
            encoder,
            mappers,
            index,
            Calibrator.load(layout.calibrator(method), encoder) if fitted else Calibrator(encoder),
            layout.card,
            method,
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
        factory: str = AUTO,
        calibrator: Calibrator | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> Collection:
        """Write mappers, index and card next to the corpus in `directory`/corpus, and open the collection.

        features: (n, d) float32, raw, one row per image, in the order of the corpus. mappers: the identity by
        default. factory: see `TrainingIndex.build`. calibrator: without one, attribution needs a temperature. card:
        more for the card; "method" names this method, for a collection that gets others by `add_method`.
        Raises `CollectionMismatchError` if the numbers of rows and images differ.
        """
        folder = Path(directory)
        _write_parts(CollectionLayout(folder), None, encoder, features, mappers, factory, calibrator)
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
        factory: str = AUTO,
        name: str = "LAION subset",
        on_progress: OnProgress | None = None,
    ) -> Collection:
        """Convert files in the formats of the paper's release to a collection, block by block, and open it.

        directory: new, or left by an interrupted call. features: `feats/<encoder>/laion_subset.pth`. encoder: its row
        in `ENCODERS`, or its name in the release ("clip", "dino", "moco", "vit", "sscd"). mappers, calibrator:
        `*_tuned.pth`; the identity and none by default. captions: see `open_texts`. images: folder of the pictures,
        which is linked; without it the app shows captions and links. Stages of on_progress: "captions", "features".
        Raises `CheckpointError` if a file is missing or has another format, or `directory` holds something else,
        `CollectionMismatchError` if files do not belong together, `UnknownNameError` for an unknown factory,
        `InvalidInputError` if `images` has none of the pictures.
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
        factory: str = AUTO,
        calibrator: Calibrator | None = None,
    ) -> Collection:
        """Add another encoder or other mappers as a method, and open the collection with it.

        method: a name of letters, digits, spaces and .,+-; a method of that name is replaced. The rest as for `create`.
        Raises `InvalidInputError` for any other name, and for that of the collection's own method.
        """
        if not re.fullmatch(r"\w[\w .,+-]*", method) or method == self.methods[0]:
            raise InvalidInputError(
                f"method {method!r} is the collection's own, or no name of letters, digits, spaces "
                "and .,+-; give another."
            )
        _write_parts(self.layout, method, encoder, features, mappers, factory, calibrator)
        what = f"another method of the collection '{self.name}'"
        write_card(self.layout.method(method), {"what": what, "encoder": encoder})
        return Collection.open(self.path, method)

    def check_unchanged(self) -> None:
        """Raise `CollectionMismatchError` if images were added or removed since the collection was opened."""
        card = read_card(self.path)
        if any(card.get(key) != self.card.get(key) for key in ("edition", "n_training", "built")):
            raise CollectionMismatchError(
                f"the collection '{self.name}' has changed since it was opened; reload it (start the app again), "
                "and attribute anew."
            )

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all its methods, its own first."""
        return self.layout.methods

    @property
    def layout(self) -> CollectionLayout:
        """Where its parts lie."""
        return CollectionLayout(self.path, self.card)

    def index_folder(self, method: str) -> Path:
        """The index of one of its methods: in its folder, or in the user's cache if the folder leaves it out.

        The cached one does not exist before its first use.
        """
        stored = self.layout.index(method)
        if method == self.methods[0] or stored.exists():
            return stored
        encoder = str(read_card(self.layout.method(method)).get("encoder", ""))
        return cached_index(self.corpus.path, self.layout.mappers(method), encoder)

    @property
    def generator_path(self) -> Path | None:
        """The diffusers folder of the model that was trained on this collection, or None."""
        path = self.layout.generator
        return path if (path / "model_index.json").exists() else None


def _write_parts(
    layout: CollectionLayout,
    method: str | None,
    encoder: str,
    features: NDArray[np.float32],
    mappers: MapperPair | None,
    factory: str,
    calibrator: Calibrator | None,
) -> None:
    """Write mappers, index and calibrator of a method over the corpus that is there."""
    pair = mappers or MapperPair.identity(features.shape[1], encoder=encoder)
    count = len(Corpus.open(layout.corpus))
    if count != len(features):
        raise CollectionMismatchError(
            f"{len(features)} feature rows for {count} images; encode every image "
            "of the corpus, in its order."
        )
    pair.save(layout.mappers(method))
    index = TrainingIndex.build(pair.map_training(features), factory, encoder, home=layout.index(method))
    index.save(layout.index(method))
    if calibrator is not None:
        calibrator.save(layout.calibrator(method))
