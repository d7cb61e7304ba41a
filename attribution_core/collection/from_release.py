"""Converts the paper's released files, or files in their formats, to a collection.

Features are read and mapped block by block, so that a million images need no more memory than their index. The
release has no pictures: rows hold captions and links, and pictures only if a folder of them is given.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import CARD_NAME, read_card, write_card
from attribution_core.common.files import is_partial, write_json_atomic, written_to
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.corpus.corpus import PICTURES, Corpus
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError, unknown_name
from attribution_core.mapping.pair import MapperPair
from attribution_core.release.catalogue import PAPER_LICENCE, RELEASED
from attribution_core.release.features import ReleasedTrainingFeatures
from attribution_core.release.texts import open_texts
from attribution_core.retrieval.backends import AUTO
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator

SHORT_NAMES = {
    "clip": "clip-vit-b32",
    "dino": "dino-vitb16",
    "moco": "moco-v3-vitb16",
    "vit": "vit-b16-384",
    "sscd": "sscd",
    "aladin": "aladin",
}
"""Names of encoders in the release, and their rows in `ENCODERS`."""
SOURCE = "LAION subset of the paper's release"
SHARD = 50_000
_PLAN = "from_release.json"
_SAMPLE = 100


@dataclass(frozen=True)
class ReleasedParts:
    """Downloaded files of one encoder. captions: None if they were not downloaded."""

    encoder: str
    features: Path
    mappers: Path
    calibrator: Path
    captions: Path | None


def row_of(encoder: str) -> str:
    """Return the row in `ENCODERS` by its name or the release's short name. Raises `UnknownNameError`."""
    name = SHORT_NAMES.get(encoder, encoder)
    if name not in ENCODERS:
        raise unknown_name("encoder", encoder, [*SHORT_NAMES, *ENCODERS])
    return name


def find_release(encoder: str, folder: Path | str | None = None) -> ReleasedParts:
    """Find the downloaded files of an encoder.

    encoder: "clip", "dino", "moco", "vit", "sscd" or the row's name. folder: of downloads; by default `RELEASED`.
    Raises `UnknownNameError`, and `CheckpointError` that says what to download.
    """
    root, name = Path(folder) if folder else RELEASED, row_of(encoder)
    short = next((s for s, row in SHORT_NAMES.items() if row == name), None)
    if short is None:
        raise unknown_name("encoder of the release", encoder, SHORT_NAMES)
    captions = root / "laion_captions.txt"
    parts = ReleasedParts(
        name,
        root / f"feats/{short}/laion_subset.pth",
        root / f"weights/mapper/{short}_tuned.pth",
        root / f"weights/calibrator/{short}_tuned.pth",
        captions if captions.is_file() else None,
    )
    for path, download in (
        (parts.features, "paper-laion-1m"),
        (parts.mappers, "paper-weights"),
        (parts.calibrator, "paper-weights"),
    ):
        if not path.is_file():
            raise CheckpointError(
                f"'{path}' does not exist; run 'python -m attribution_core download {download}', or name the files."
            )
    return parts


def write_release(
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
) -> Path:
    """Write a collection's folder from released files and return it; `Collection.from_release` also opens it.

    Takes and raises what `Collection.from_release` does. After an interruption it starts again from the beginning; the
    card, without which the folder cannot be opened, is written last.
    """
    layout, row = CollectionLayout(Path(directory)), SHORT_NAMES.get(encoder, encoder)
    stored = ReleasedTrainingFeatures.open(features)
    count, dim = (int(side) for side in stored.features.shape)
    if not count:
        raise CheckpointError(f"'{features}' contains no features.")
    if row in ENCODERS and ENCODERS[row].dim != dim:
        raise CollectionMismatchError(
            f"'{features}' holds features of {dim} values, encoder '{row}' gives "
            f"{ENCODERS[row].dim}; name the encoder that computed them."
        )
    pair = MapperPair.from_release(mappers, row) if mappers else MapperPair.identity(dim, row)
    if pair.dim != dim:
        raise CollectionMismatchError(
            f"'{features}' holds features of {dim} values, '{mappers}' takes {pair.dim}; "
            "use mappers for the same encoder."
        )
    fitted_calibrator = Calibrator.from_release(calibrator, row) if calibrator else None
    texts = open_texts(Path(captions), stored.paths) if captions else None
    picture = _pictures(Path(images), stored.paths) if images else None
    inputs = {
        "features": features,
        "mappers": mappers,
        "calibrator": calibrator,
        "captions": captions,
        "images": images,
    }
    made_from = {key: Path(path).name for key, path in inputs.items() if path}
    _claim(layout, made_from)

    for start in range(0, count, SHARD):
        stop = min(start + SHARD, count)
        rows = texts.rows(start, stop) if texts else [{} for _ in range(start, stop)]
        Corpus.write(
            layout.corpus / f"train-{start // SHARD:05d}.parquet",
            (
                {"source": SOURCE, **text, "id": path, "image": picture(path) if picture else None}
                for path, text in zip(stored.paths[start:stop], rows, strict=True)
            ),
        )
        if on_progress:
            on_progress(Progress("captions", stop, count))
    parquet = sorted(p.name for p in layout.corpus.glob("train-*.parquet"))
    write_card(layout.corpus, {"what": "captions and links of the training images", "files": parquet})
    if images:
        link = layout.corpus / PICTURES
        with written_to(link):
            link.symlink_to(Path(images).resolve(), target_is_directory=True)
    pair.save(layout.mappers())
    if fitted_calibrator is not None:
        fitted_calibrator.save(layout.calibrator())
    blocks = _map_blocks(stored, pair, features)
    index = TrainingIndex.build_from(blocks, factory, row, count, layout.index(), on_progress)
    index.save(layout.index())
    what = f"{count:,} training images as {row} sees them, by files in the formats of the paper's release"
    write_card(
        layout.folder,
        {
            "what": what if picture else f"{what}; captions and links in place of pictures",
            "name": name,
            "encoder": row,
            "n_training": count,
            "licence": f"{PAPER_LICENCE} where the files are the paper's; each picture's own",
            "made_from": made_from,
        },
    )
    return layout.folder


def _claim(layout: CollectionLayout, plan: dict[str, str]) -> None:
    """Start in an empty folder, or clear one that an interrupted call left. Raises `CheckpointError`."""
    folder = layout.folder
    if (folder / CARD_NAME).exists():
        read_card(folder)
        raise CheckpointError(f"'{folder}' already holds a collection; give another folder, or delete it.")
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"'{folder}' is a file, expected a folder to write to; give another one.")
    others = [p for p in folder.iterdir() if not is_partial(p, _PLAN)] if folder.exists() else []
    if others and not (folder / _PLAN).exists():
        raise CheckpointError(
            f"'{folder}' is not empty and was not started by 'from-release'; give another folder."
        )
    for half in folder.glob(".*") if folder.exists() else ():  # a partly written plan
        if is_partial(half, _PLAN):
            half.unlink(missing_ok=True)
    write_json_atomic(folder / _PLAN, plan)
    (layout.corpus / PICTURES).unlink(missing_ok=True)
    TrainingIndex.discard(layout.index())
    for part in (layout.corpus, layout.mappers(), layout.calibrator()):
        shutil.rmtree(part, ignore_errors=True)


def _map_blocks(
    stored: ReleasedTrainingFeatures, pair: MapperPair, path: Path | str
) -> Iterator[NDArray[np.float32]]:
    done = 0
    for block in stored.blocks():
        try:
            mapped = pair.map_training(block)
        except InvalidInputError as error:
            raise CheckpointError(f"'{path}', images {done} to {done + len(block) - 1}: {error}") from error
        yield mapped
        done += len(block)


def _pictures(folder: Path, paths: tuple[str, ...]) -> Callable[[str], dict[str, Any]]:
    """Find how a folder names the release's pictures: by path or last part, as PNG, or as JPEG or WebP instead."""
    for flat in (False, True):
        for suffix in ("", ".jpg", ".jpeg", ".webp"):

            def local(path: str, flat: bool = flat, suffix: str = suffix) -> str:
                name = path.rsplit("/", 1)[-1] if flat else path.lstrip("/")
                return name.rsplit(".", 1)[0] + suffix if suffix else name

            if any((folder / local(path)).is_file() for path in paths[:_SAMPLE]):
                return lambda path, local=local: {"bytes": None, "path": local(path)}  # type: ignore[misc]
    raise InvalidInputError(
        f"'{folder}' holds none of the first {min(_SAMPLE, len(paths))} images ('{paths[0]}', ...) as PNG, JPEG or "
        "WebP; give the folder that these paths are relative to."
    )
