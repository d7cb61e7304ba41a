"""Trains mappers on add-one-in models: encodes images, fits heads, and selects settings on validation models."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.add_one_in.augmentations import Augmentation, views
from attribution_core.add_one_in.cases import Images, ManifestEntry
from attribution_core.add_one_in.metrics import exemplar_places
from attribution_core.common.arrays import whole
from attribution_core.common.cards import read_card
from attribution_core.common.files import make_folder
from attribution_core.errors import InvalidInputError
from attribution_core.mapping.fit import FeaturePairs, FitSettings
from attribution_core.mapping.pair import MapperPair

TEMPERATURES, RIGIDITIES = (0.02, 0.05, 0.1), (0.1, 1.0, 10.0)
_BATCH = 64


@dataclass(frozen=True)
class Trial:
    """A choice of settings and its mean reciprocal rank on validation, in (0, 1]."""

    settings: FitSettings
    reciprocal_rank: float


@dataclass(frozen=True)
class TrainedMappers:
    """The best pair on validation, all trials, and the mean reciprocal rank without mappers (`untrained`)."""

    pair: MapperPair
    best: Trial
    trials: tuple[Trial, ...]
    untrained: float

    def card(self) -> dict[str, Any]:
        """Return entries for the pair's card: its settings, and how they were selected."""
        return {
            "settings": asdict(self.best.settings),
            "validation": {
                "what": "mean of 1 / place of a made image's own exemplar among all exemplars of the validation models",
                "untrained": self.untrained,
                "trials": [{**asdict(t.settings), "reciprocal_rank": t.reciprocal_rank} for t in self.trials],
            },
        }


def encode_pairs(
    encoder: Any,
    entries: Sequence[ManifestEntry],
    images: Images,
    augmentation: Augmentation | str = Augmentation.MILD,
    n_views: int = 2,
    seed: int = 0,
    on_image: Callable[[], object] | None = None,
) -> FeaturePairs:
    """Encode random views of all exemplars and generated images of some models.

    Args:
        encoder: Anything with `encode(images) -> (n, d) float32`.
        entries: The models, from `read_manifest`.
        images: Reads the manifest's paths: an `ImageStore`.
        augmentation: "none", "mild" or "strong".
        n_views: Views per image.
        seed: Random seed for the views.
        on_image: Called after each image is read.

    Raises:
        InvalidInputError: There are no models, or a model lacks exemplars or generated images.
        CheckpointError: An image is missing.
        InvalidImageError: An image cannot be read.
    """
    whole("n_views", n_views, 1)
    if not entries:
        raise InvalidInputError("there are no models to learn from; give a manifest with entries.")
    sides = []
    for side in ("exemplar", "generated"):
        files = [(k, path) for k, entry in enumerate(entries) for path in _paths(entry, side)]
        features = list(_encode(encoder, files, images, augmentation, n_views, seed, on_image))
        if not features:
            raise InvalidInputError(f"the models have no {side} images; check the manifest.")
        sides.append((np.concatenate(features), np.repeat([k for k, _ in files], n_views)))
    return FeaturePairs(*sides[0], *sides[1])


def _paths(entry: ManifestEntry, side: str) -> tuple[str, ...]:
    return (
        entry.exemplars if side == "exemplar" else tuple(itertools.chain.from_iterable(entry.made.values()))
    )


def _encode(
    encoder: Any,
    files: Sequence[tuple[int, str]],
    store: Images,
    augmentation: Augmentation | str,
    n_views: int,
    seed: int,
    on_image: Callable[[], object] | None,
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(files), _BATCH):
        images = []
        for number, (_, path) in enumerate(files[start : start + _BATCH], start):
            images += views(store[path], augmentation, n_views, seed + number)
            if on_image is not None:
                on_image()
        yield encoder.encode(images)


def train_mappers(
    training: FeaturePairs,
    validation: FeaturePairs,
    encoder: str,
    kind: str = "linear",
    temperatures: Sequence[float] = TEMPERATURES,
    rigidities: Sequence[float] = RIGIDITIES,
    on_epoch: Callable[[int, float], None] | None = None,
    work: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> TrainedMappers:
    """Fit heads with every combination of temperature and rigidity, and return the best pair on validation.

    Args:
        training: Pairs to learn from.
        validation: Pairs of other models, without augmentation.
        encoder: Name of the encoder of both.
        kind: "linear", "channel" or "mlp"; rigidity applies to linear heads only.
        temperatures: Temperatures to try.
        rigidities: Rigidities to try; (0,) fits without the regulariser.
        on_epoch: Called after each epoch of each fit with its number and loss.
        work: Folder for finished and interrupted fits, from which the same call resumes.
        **settings: Other fields of `FitSettings`.

    Raises:
        InvalidInputError: A setting is out of range, or there is none to try.
    """
    grid = itertools.product(temperatures, rigidities if kind == "linear" else (0.0,))
    start = MapperPair.identity(training.dim, encoder)
    best: tuple[MapperPair, Trial] | None = None
    trials = []
    for number, (temperature, rigidity) in enumerate(grid):
        candidate = FitSettings(kind=kind, temperature=temperature, rigidity=rigidity, **settings)
        pair = _fit(start, training, candidate, on_epoch, None if work is None else Path(work) / str(number))
        trials.append(Trial(candidate, reciprocal_rank(pair, validation)))
        if best is None or trials[-1].reciprocal_rank > best[1].reciprocal_rank:
            best = pair, trials[-1]
    if best is None:
        raise InvalidInputError("there is nothing to try; give at least one temperature and one rigidity.")
    return TrainedMappers(best[0], best[1], tuple(trials), reciprocal_rank(start, validation))


def _fit(
    start: MapperPair,
    pairs: FeaturePairs,
    settings: FitSettings,
    on_epoch: Callable[[int, float], None] | None,
    folder: Path | None,
) -> MapperPair:
    """Fit a pair, or load a finished one or resume a partial one from its folder."""
    options = {name: value for name, value in asdict(settings).items() if name != "kind"}
    if folder is None:
        return start.fit(pairs, settings.kind, on_epoch, **options)
    mark = {"settings": asdict(settings), "models": len(pairs.models), "encoder": start.encoder}
    if (folder / "card.json").exists() and {k: v for k, v in read_card(folder).items() if k in mark} == mark:
        return MapperPair.load(folder, start.encoder)
    make_folder(folder)
    pair = start.fit(pairs, settings.kind, on_epoch, folder / "checkpoint.pt", **options)
    pair.save(folder, mark)
    return pair


def reciprocal_rank(pair: MapperPair, pairs: FeaturePairs) -> float:
    """Compute the mean over generated images of 1 / rank of their own first exemplar among all models' exemplars."""
    models, number = np.unique(pairs.synth_model, return_inverse=True)
    order = np.argsort(pairs.real_model, kind="stable")
    real, ends = (
        pair.map_training(pairs.real[order]),
        np.searchsorted(pairs.real_model[order], models, side="right"),
    )
    starts = np.searchsorted(pairs.real_model[order], models, side="left")
    queries, values = pair.map_query(pairs.synth), np.zeros(len(number))
    for k in range(len(models)):
        mine = number == k
        others = np.concatenate([real[: starts[k]], real[ends[k] :]])
        places = exemplar_places(
            [others], queries[mine], real, np.stack([starts, ends], 1), np.full(mine.sum(), k)
        )
        values[mine] = [1 / p[0] for p in places]
    return float(values.mean())
