"""Mapper pairs: one head for training images, one for queries, each followed by L2 normalisation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from attribution_core.common.arrays import float_matrix, whole
from attribution_core.common.cards import PartCard, load_part, write_card
from attribution_core.common.files import atomic_path, make_folder
from attribution_core.common.tensors import read_tensors
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError
from attribution_core.mapping.fit import FeaturePairs, FitSettings, fit_heads
from attribution_core.mapping.heads import Head, MapperKind, head_arrays
from attribution_core.mapping.hubness import NEIGHBOURS, WEIGHT, HubnessCorrection

_FILE = "mappers.safetensors"
_QUERIES = "hubness.queries"


class HubnessSettings(BaseModel):
    """Settings of a `HubnessCorrection`, as a card holds them."""

    model_config = ConfigDict(strict=True, frozen=True)
    neighbours: PositiveInt
    weight: Annotated[float, Field(gt=0, strict=False)]


class MappersCard(PartCard):
    """The card of a saved mapper pair. dim: of the raw features."""

    KIND = "a mapper pair"
    kind: Annotated[MapperKind, Field(strict=False)]
    dim: PositiveInt
    hubness: HubnessSettings | None = None


@dataclass(frozen=True, eq=False)
class MapperPair:
    """Both heads, the name of the encoder whose raw features they map, and what is done to mapped rows.

    Attributes:
        real: Head for training images.
        synth: Head for queries, that is, generated images.
        encoder: Name of the encoder, since two encoders can have the same dimension.
        kind: Form of the heads.
        hubness: Applied after the heads, or None.
    """

    real: Head
    synth: Head
    encoder: str = ""
    kind: MapperKind = MapperKind.LINEAR
    hubness: HubnessCorrection | None = None

    def __post_init__(self) -> None:
        """Check that the heads match."""
        shapes = [
            {name: value.shape for name, value in head.tensors().items()} for head in (self.real, self.synth)
        ]
        if shapes[0] != shapes[1]:
            raise InvalidInputError(
                f"the heads have shapes {self.real.weight.shape} and {self.synth.weight.shape}, expected the same."
            )
        object.__setattr__(self, "kind", MapperKind(self.kind))
        if self.kind is not MapperKind.IDENTITY and self.kind is not self.real.kind:
            raise InvalidInputError(f"the kind is {self.kind}, but the heads are {self.real.kind}.")
        if self.hubness is not None and self.hubness.queries.shape[1] != self.real.out_dim:
            raise InvalidInputError(
                f"the hubness correction has {self.hubness.queries.shape[1]} columns, the heads give "
                f"{self.real.out_dim}."
            )

    @property
    def dim(self) -> int:
        """Dimension of the raw features."""
        return self.real.dim

    @property
    def out_dim(self) -> int:
        """Dimension of the mapped rows."""
        return self.real.out_dim + (2 if self.hubness is not None else 0)

    @classmethod
    def identity(cls, dim: int, encoder: str = "") -> MapperPair:
        """Make the pair that only normalises rows of `dim` values."""
        whole("dim", dim, 1)
        head = Head(np.eye(dim, dtype=np.float32), np.zeros(dim, dtype=np.float32))
        return cls(head, head, encoder, MapperKind.IDENTITY)

    def fit(
        self,
        pairs: FeaturePairs,
        kind: str = "linear",
        on_epoch: Callable[[int, float], None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> MapperPair:
        """Return a new pair for the same encoder, fitted contrastively.

        Args:
            pairs: Raw features of exemplars and of images generated after tuning on them.
            kind: "linear", "channel" or "mlp".
            on_epoch: Called with the number of the epoch, from 1, and its mean loss.
            checkpoint: File from which an interrupted fit resumes.
            **settings: Fields of `FitSettings`: temperature, rigidity, epochs, learning_rate, batch, dropout, seed.

        Raises:
            CollectionMismatchError: The pairs have another dimension.
            InvalidInputError: A value is out of range, or there are fewer than two models.
        """
        if pairs.dim != self.dim:
            raise CollectionMismatchError(
                f"the pairs have {pairs.dim} columns, these mappers of encoder {self.encoder!r} take {self.dim}."
            )
        fitted = fit_heads(pairs, FitSettings(kind=kind, **settings), on_epoch, checkpoint)
        return MapperPair(Head(**fitted.real), Head(**fitted.synth), self.encoder, MapperKind(kind))

    def with_hubness_correction(
        self, features: ArrayLike, neighbours: int = NEIGHBOURS, weight: float = WEIGHT
    ) -> MapperPair:
        """Return this pair with a hubness correction.

        features: (m, d) raw features of generated images other than those to attribute, such as those of validation
        models. neighbours, weight: of `HubnessCorrection`. Raises what `map_query` raises, and `InvalidInputError` for
        a value that is out of range.
        """
        plain = replace(self, hubness=None)
        return replace(self, hubness=HubnessCorrection(plain.map_query(features), neighbours, weight))

    def map_training(self, features: ArrayLike) -> NDArray[np.float32]:
        """Map raw features of training images.

        Args:
            features: (n, d) float32, as the encoder returns them.

        Returns:
            (n, m) float32 unit rows.

        Raises:
            CollectionMismatchError: `d != self.dim`.
            InvalidInputError: Features are not finite, or a row maps to zero or overflows.
        """
        rows = self._map(self.real, features)
        return rows if self.hubness is None else self.hubness.extend_training(rows)

    def map_query(self, features: ArrayLike) -> NDArray[np.float32]:
        """Map raw features of generated images; shapes and errors as for `map_training`."""
        rows = self._map(self.synth, features)
        return rows if self.hubness is None else self.hubness.extend_queries(rows)

    def _map(self, head: Head, features: ArrayLike) -> NDArray[np.float32]:
        rows = float_matrix("features", features)
        if rows.shape[1] != self.dim:
            raise CollectionMismatchError(
                f"features have {rows.shape[1]} columns, these mappers of encoder {self.encoder!r} take "
                f"{self.dim}; use the encoder they were fitted for."
            )
        mapped = rows if self.kind is MapperKind.IDENTITY else head(rows)
        # float64 keeps the direction of very short and very long rows.
        length = np.sqrt(np.einsum("ij,ij->i", mapped, mapped, dtype=np.float64))
        if (length == 0).any() or not np.isfinite(length).all():
            row = int(np.flatnonzero((length == 0) | ~np.isfinite(length))[0])
            raise InvalidInputError(f"features row {row} maps to zero or overflows, so it has no direction.")
        return np.asarray((mapped / length[:, None]).astype(np.float32))

    def save(self, directory: str | os.PathLike[str], card: Mapping[str, Any] | None = None) -> None:
        """Write card.json and, unless there is nothing in it, mappers.safetensors into a folder.

        Args:
            directory: Created if missing.
            card: More entries for the card (data, seed, metrics); they cannot override those needed to load.
        """
        from safetensors.numpy import save_file

        folder = Path(directory)
        make_folder(folder)
        heads = {} if self.kind is MapperKind.IDENTITY else {"real": self.real, "synth": self.synth}
        arrays = {f"{h}.{n}": v for h, head in heads.items() for n, v in head.tensors().items()}
        more = dict(card or {})
        if self.hubness is not None:
            arrays[_QUERIES] = self.hubness.queries
            more["hubness"] = {"neighbours": self.hubness.neighbours, "weight": self.hubness.weight}
        if arrays:
            with atomic_path(folder / _FILE) as temporary:
                save_file(arrays, temporary)
        write_card(
            folder,
            {
                **more,
                "what": "mapper pair: real (training images) and synth (queries)",
                "encoder": self.encoder,
                "kind": str(self.kind),
                "dim": self.dim,
                "out_dim": self.out_dim,
                "files": [_FILE] if arrays else [],
            },
        )

    @classmethod
    def load(cls, directory: str | os.PathLike[str], encoder: str | None = None) -> MapperPair:
        """Read what `save` wrote.

        Raises:
            CheckpointError: Files are missing, damaged, or not what the card says.
            CollectionMismatchError: `encoder` is given and the mappers belong to another one.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(directory)
        card = load_part(folder, MappersCard, encoder)
        pair = cls.identity(card.dim, card.encoder)
        if card.kind is MapperKind.IDENTITY and card.hubness is None:
            return pair
        try:
            stored = load_file(folder / _FILE)
            if card.kind is not MapperKind.IDENTITY:
                heads = [
                    Head(
                        **{
                            key.removeprefix(f"{name}."): value
                            for key, value in stored.items()
                            if key.startswith(name)
                        }
                    )
                    for name in ("real", "synth")
                ]
                pair = cls(heads[0], heads[1], card.encoder, card.kind)
            if card.hubness is not None:
                correction = HubnessCorrection(stored[_QUERIES], card.hubness.neighbours, card.hubness.weight)
                pair = replace(pair, hubness=correction)
        except (OSError, KeyError, TypeError, SafetensorError, InvalidInputError) as error:
            raise CheckpointError(f"'{folder / _FILE}' cannot be used ({error}); save it again.") from error
        if pair.dim != card.dim:
            raise CheckpointError(f"'{folder / _FILE}' takes {pair.dim} values, its card says {card.dim}.")
        return pair

    @classmethod
    def from_release(cls, path: str | os.PathLike[str], encoder: str) -> MapperPair:
        """Read `weights/mapper/*_tuned.pth` of the paper's release.

        Args:
            path: A file with {"real_mapper", "synth_mapper"}, each {"weight", "bias"} or, for channel heads and MLPs,
                the keys that `head_arrays` lists.
            encoder: Name of the encoder that the file belongs to; the file does not record it.

        Raises:
            CheckpointError: The file is missing, holds other keys or shapes, or holds anything but tensors.
            CollectionMismatchError: Its input size is not the dimension of that encoder.
            MissingDependencyError: torch is not installed.
        """
        # Only this table is imported from `encoding`: the packages are otherwise independent.
        from attribution_core.encoding.encoders import ENCODERS

        stored = read_tensors(path)
        heads = []
        for name in ("real_mapper", "synth_mapper"):
            try:
                heads.append(Head(**head_arrays(stored[name])))
            except (
                KeyError,
                TypeError,
                IndexError,
                AttributeError,
                RuntimeError,
                InvalidInputError,
            ) as error:
                raise CheckpointError(
                    f"'{path}' is not a released mapper ({name}: {error}); expected 'real_mapper' and "
                    "'synth_mapper', each with 'weight' (m, d) and 'bias' (m,)."
                ) from error
        try:
            pair = cls(heads[0], heads[1], encoder, heads[0].kind)
        except InvalidInputError as error:
            raise CheckpointError(f"'{path}' is not a released mapper: {error}") from error
        if encoder in ENCODERS and ENCODERS[encoder].dim != pair.dim:
            raise CollectionMismatchError(
                f"the mapper in '{path}' takes {pair.dim} values, encoder '{encoder}' gives "
                f"{ENCODERS[encoder].dim}; name the encoder that it was fitted for."
            )
        return pair
