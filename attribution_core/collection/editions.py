"""Changes a collection's images all at once: what was added or removed holds when the card says so, and not before.

Corpus, features and index of the next edition are made beside those that hold (files that stay are linked, not copied),
then `card.json` is replaced, then what it no longer names is deleted. Whenever that is cut off, the card names parts
that are whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import (
    BUILDING,
    FEATURES,
    PARTS,
    PIXELS,
    REMOVING,
    SUMMARY,
    alone,
    part_folder,
)
from attribution_core.common.cards import CARD_NAME, read_card, verify_files, write_card
from attribution_core.common.files import atomic_path, make_folder, write_array_atomic, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.corpus.corpus import DUPLICATES, Corpus
from attribution_core.corpus.near_duplicates import METHOD, THRESHOLD, near_duplicates
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex


@dataclass(frozen=True)
class Removed:
    """What `remove_images` did. images: how many were taken out."""

    collection: Collection
    images: int


def own_card(folder: Path, changing: bool = True) -> dict[str, Any]:
    """The card of a collection that `index` made.

    changing: other images are to be in it, which its other methods would not hold. Raises `CheckpointError` for a
    collection that is not of that kind, or that has more methods where it is to change.
    """
    card = read_card(folder)
    if "built" not in card or not part_folder(folder, card, "features").is_dir():
        raise CheckpointError(
            f"'{folder}' was not made by 'index', so its images' features are not kept; build a "
            "collection of its images with 'index' first."
        )
    methods = sorted(path.parent.name for path in (folder / "methods").glob("*/card.json"))
    if methods and changing:
        raise CheckpointError(
            f"'{folder}' has more methods ({', '.join(methods)}), whose indices would not hold what "
            f"is changed; delete '{folder / 'methods'}' and make them again afterwards."
        )
    return card


def stems(folder: Path, card: Mapping[str, Any]) -> list[str]:
    """Names of the shards of the edition that holds, in order."""
    place = part_folder(folder, card, "features")
    return sorted(p.name.removesuffix(SUMMARY) for p in place.glob(f"[0-9]*{SUMMARY}"))


def ids_of(folder: Path, card: Mapping[str, Any]) -> list[str]:
    """Ids of its images, in order."""
    import pyarrow.parquet as pq

    files = sorted(part_folder(folder, card, "corpus").glob("train-*.parquet"))
    return [str(name) for file in files for name in pq.read_table(file, columns=["id"])["id"].to_pylist()]


def remove_images(directory: Path | str, ids: Sequence[str]) -> Removed:
    """Take images out of a collection that `index` made; nothing is encoded again, and their files are deleted.

    ids: as the corpus and every attribution call them. Raises `InvalidInputError` where one is not there or none would
    be left; nothing is changed then. `CheckpointError` for a collection that `index` did not make. A call that was cut
    off is ended by the same call.
    """
    folder = Path(directory)
    card = own_card(folder)
    with alone(folder):
        card = own_card(folder)
        known, begun = set(ids_of(folder, card)), _begun(folder)
        ended = set() if begun & known else begun  # these are out; what comes behind that was cut off
        if ended:
            tidy(folder)
            (folder / REMOVING).unlink(missing_ok=True)
        missing = [name for name in dict.fromkeys(ids) if name not in known | ended]
        if missing:
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise InvalidInputError(
                f"'{folder}' has no image '{missing[0]}'{more}; give ids as 'attribute --json' lists them."
            )
        if not ids:
            raise InvalidInputError("no ids were given; say which images to remove.")
        gone = set(ids) & known
        if not gone:
            return Removed(Collection.open(folder), len(set(ids)))
        if len(gone) == len(known):
            raise InvalidInputError(
                f"that would remove all {len(known):,} images of '{folder}'; delete the folder."
            )
        write_json_atomic(folder / REMOVING, sorted(gone))
        made = publish(folder, card, without=gone)
        (folder / REMOVING).unlink(missing_ok=True)
        return Removed(made, len(gone))


def _begun(folder: Path) -> set[str]:
    """Ids that a removal was at work on that did not come to its end."""
    try:
        return set(map(str, read_json(folder / REMOVING)))
    except (OSError, ValueError, TypeError):
        return set()


def publish(
    folder: Path,
    card: Mapping[str, Any],
    *,
    new: Path | None = None,
    without: Names[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> Collection:
    """Make the next edition of a collection and let it hold.

    card: of the edition that holds, or of one to be: name, encoder, factory, near_duplicates. new: shards to add.
    without: ids of images that go. changes: to the card. Mappers must be in the folder.
    """
    begun = "edition" in card
    kept = part_folder(folder, card, "features")
    if begun and (kept / CARD_NAME).is_file():  # of what is damaged there, no other edition is made
        verify_files(kept)
    after = {**card, **(changes or {}), "edition": int(card["edition"]) + 1 if begun else 1}
    places = {part: part_folder(folder, after, part) for part in PARTS}
    for part, place in places.items():
        _delete(part, place)
        make_folder(place)
    last = -1
    for stem in stems(folder, card) if begun else ():
        last = int(stem)
        _take_over(folder, card, stem, places, set(without))
    for number, told in enumerate(sorted(new.glob(f"[0-9]*{SUMMARY}")) if new else (), last + 1):
        stem = told.name.removesuffix(SUMMARY)
        for suffix in (FEATURES, PIXELS, SUMMARY):
            _link(told.with_name(stem + suffix), places["features"] / f"{number:05d}{suffix}")
        _link(told.with_name(f"{stem}.parquet"), places["corpus"] / f"train-{number:05d}.parquet")
    shards = sorted(p.name.removesuffix(PIXELS) for p in places["features"].glob(f"*{PIXELS}"))
    pair = MapperPair.load(folder / "mappers", encoder=str(after["encoder"]))
    mapped = (pair.map_training(np.load(places["features"] / f"{stem}{FEATURES}")) for stem in shards)
    index = TrainingIndex.build_from(
        mapped, str(after["factory"]), str(after["encoder"]), home=places["index"]
    )
    index.save(places["index"])
    told_duplicates = _group(places, shards, after)
    for part, what in (
        ("corpus", "images with captions and credits"),
        ("features", "what was kept of each shard"),
    ):
        names = sorted(p.name for p in places[part].iterdir() if p.is_file())
        write_card(places[part], {"what": what, "files": names})
    write_card(folder, {**after, "n_training": len(index), "near_duplicates": told_duplicates})
    tidy(folder)
    return Collection.open(folder)


def tidy(folder: Path, built: bool = False) -> None:
    """Delete what the card does not name, of this and of earlier runs that were cut off.

    built: what was being built is in the collection now, and goes, too.
    """
    card = read_card(folder)
    for part in PARTS:
        for place in (folder / part, *folder.glob(f"{part}-[0-9]*")):
            if place != part_folder(folder, card, part):
                _delete(part, place)
    for litter in folder.glob(".*.part.*"):  # half a file, of a run that was killed
        litter.unlink(missing_ok=True)
    if built:
        discard(folder)


def discard(folder: Path) -> None:
    """Delete what was being built; first what says what it is, so that a rest that is left counts for nothing."""
    (folder / BUILDING / "plan.json").unlink(missing_ok=True)
    shutil.rmtree(folder / BUILDING, ignore_errors=True)


def _delete(part: str, place: Path) -> None:
    if part == "index":
        TrainingIndex.discard(place)  # with what it has in a store
    else:
        shutil.rmtree(place, ignore_errors=True)


def _group(places: Mapping[str, Path], shards: Sequence[str], card: Mapping[str, Any]) -> dict[str, Any]:
    asked = card.get("near_duplicates", {}).get("threshold", THRESHOLD)
    if asked is None:
        return {"threshold": None}
    rows = np.concatenate([np.load(places["features"] / f"{s}{PIXELS}") for s in shards])
    found = near_duplicates(rows, float(asked))
    ids = Corpus.open(places["corpus"]).column("id")
    write_json_atomic(
        places["corpus"] / DUPLICATES,
        {
            "what": "images that are one work, by id",
            "method": METHOD,
            "threshold": asked,
            "sets": [[ids[p] for p in members] for members in found.sets],
        },
    )
    return {"method": METHOD, "threshold": asked, "works": len(found.sets), "repeated": found.images}


def _take_over(
    folder: Path, card: Mapping[str, Any], stem: str, places: Mapping[str, Path], without: set[str]
) -> None:
    """A shard of the edition before, without some of its images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = part_folder(folder, card, "corpus") / f"train-{stem}.parquet"
    features = part_folder(folder, card, "features")
    target = places["corpus"] / rows.name
    ids = pq.read_table(rows, columns=["id"])["id"].to_pylist() if rows.exists() else []
    kept = [name not in without for name in ids]
    if all(kept):
        _link(rows, target)
        for suffix in (FEATURES, PIXELS, SUMMARY):
            _link(features / f"{stem}{suffix}", places["features"] / f"{stem}{suffix}")
        return
    told = read_json(features / f"{stem}{SUMMARY}")
    write_json_atomic(
        places["features"] / f"{stem}{SUMMARY}",
        {**told, "ids": [name for name in told["ids"] if name not in without]},
    )
    if not any(kept):
        return
    with atomic_path(target) as temporary:
        pq.write_table(
            pq.read_table(rows).filter(pa.array(kept)), temporary, compression="zstd", row_group_size=1000
        )
    for suffix in (FEATURES, PIXELS):
        write_array_atomic(
            places["features"] / f"{stem}{suffix}", np.load(features / f"{stem}{suffix}")[kept]
        )


def _link(source: Path, target: Path) -> None:
    if not source.exists():  # a shard in which nothing could be read
        return
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
