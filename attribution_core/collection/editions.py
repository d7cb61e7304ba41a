"""Atomic updates of a collection's images: a change takes effect when `card.json` is replaced.

Corpus, features and index of the next edition are written next to the current ones (unchanged files are linked, not
copied), then `card.json` is replaced, then whatever it no longer names is deleted. An interruption at any point leaves
a card whose parts are complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import (
    FEATURES,
    OPTED_OUT,
    PIXELS,
    SUMMARY,
    CollectionLayout,
    exclusive,
)
from attribution_core.collection.opt_out_lists import ListUse, OptOutList
from attribution_core.collection.opt_outs import left_out, matches_in, opt_out_facts, write_unmatched
from attribution_core.common.cards import CARD_NAME, verify_files, write_card
from attribution_core.common.files import atomic_path, make_folder, write_array_atomic, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.common.progress import OnProgress
from attribution_core.corpus.corpus import DUPLICATES, Corpus
from attribution_core.corpus.near_duplicates import METHOD, THRESHOLD, near_duplicates
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex


@dataclass(frozen=True)
class Removed:
    """The result of `remove_images`.

    images: how many were removed. opted_out: image -> reason, for those on a list. entries: how many entries the lists
    have. unmatched_entries: those that name no image -> what may have been meant, or "".
    """

    collection: Collection
    images: int
    opted_out: Mapping[str, str] = field(default_factory=dict)
    entries: int = 0
    unmatched_entries: Mapping[str, str] = field(default_factory=dict)


def indexed_layout(folder: Path, changing: bool = True) -> CollectionLayout:
    """Read the layout of a collection that `index` built.

    changing: its images are about to change, which the indices of other methods would miss. Raises `CheckpointError`
    for any other collection, and for one with several methods if it is about to change.
    """
    layout = CollectionLayout.read(folder)
    if "built" not in layout.card or not layout.features.is_dir():
        raise CheckpointError(
            f"'{folder}' was not made by 'index', so its images' features are not kept; build a "
            "collection of its images with 'index' first."
        )
    others = layout.methods[1:]
    if others and changing:
        raise CheckpointError(
            f"'{folder}' has more methods ({', '.join(others)}), whose indices would miss the change; "
            f"delete '{layout.methods_folder}' and make them again afterwards."
        )
    return layout


def image_ids(layout: CollectionLayout) -> list[str]:
    """Ids of the collection's images, in order."""
    import pyarrow.parquet as pq

    files = sorted(layout.corpus.glob("train-*.parquet"))
    return [str(name) for file in files for name in pq.read_table(file, columns=["id"])["id"].to_pylist()]


def remove_images(
    directory: Path | str, ids: Sequence[str] = (), *, opt_outs: Sequence[Path | str] = ()
) -> Removed:
    """Remove images from a collection that `index` built, and delete their files; nothing is encoded again.

    Repeating an interrupted call finishes it.

    Args:
        directory: The collection.
        ids: As in the corpus and in attributions.
        opt_outs: Lists as of `OptOutList.read`; what they name is removed and left out from then on.

    Raises:
        InvalidInputError: An id is unknown, a list cannot be read, or no image would be left; nothing is changed then.
        CheckpointError: The collection was not built by `index`.
    """
    folder = Path(directory)
    lists = OptOutList.read(opt_outs)
    indexed_layout(folder)  # so that no lock is left in a folder that is no collection
    with exclusive(folder):
        layout = indexed_layout(folder)
        known, interrupted = set(image_ids(layout)), _interrupted(layout)
        removed = set() if interrupted & known else interrupted  # by an earlier call, but not cleaned up
        if removed:
            tidy(layout)
            layout.removing.unlink(missing_ok=True)
        missing = [name for name in dict.fromkeys(ids) if name not in known | removed]
        if missing:
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise InvalidInputError(
                f"'{folder}' has no image '{missing[0]}'{more}; give ids as 'attribute --json' lists them."
            )
        if not ids and not opt_outs:
            raise InvalidInputError("no ids were given; say which images to remove.")
        use = ListUse(lists)
        listed = matches_in(layout, use) if opt_outs else {}
        without = (set(ids) | set(listed)) & known
        if len(without) == len(known):
            raise InvalidInputError(
                f"that would remove all {len(known):,} images of '{folder}'; delete the folder."
            )
        before = left_out(layout)
        use.recall(before)
        unmatched = write_unmatched(layout, use) if opt_outs else {}
        if not without:
            return Removed(Collection.open(folder), len(set(ids)), {}, len(lists.written), unmatched)
        write_json_atomic(layout.removing, sorted(without))
        record_left_out(layout, {**before, **listed})
        collection = publish(layout, without=without)
        layout.removing.unlink(missing_ok=True)
        return Removed(collection, len(without), listed, len(lists.written), unmatched)


def record_left_out(layout: CollectionLayout, reasons: Mapping[str, str]) -> None:
    """Write which images a collection leaves out, by id; their number is in the card once it is published."""
    if reasons or (layout.folder / OPTED_OUT).exists():
        entries = [{"file": name, "reason": reason} for name, reason in reasons.items()]
        write_json_atomic(layout.folder / OPTED_OUT, entries)


def _with_facts(layout: CollectionLayout) -> dict[str, Any]:
    """The card with what is to be said of opt-outs, if anything."""
    facts = opt_out_facts(layout)
    card = {key: value for key, value in layout.card.items() if key != "opted_out"}
    return {**card, "opted_out": facts} if facts["left_out"] or facts["marked"] else card


def update_facts(layout: CollectionLayout) -> None:
    """Bring what a collection's card says of opt-outs up to date."""
    if (card := _with_facts(layout)) != layout.card:
        write_card(layout.folder, card)


def _interrupted(layout: CollectionLayout) -> set[str]:
    """Ids of a removal that did not finish."""
    try:
        return set(map(str, read_json(layout.removing)))
    except (OSError, ValueError, TypeError):
        return set()


def publish(
    current: CollectionLayout,
    *,
    new: Path | None = None,
    without: Names[str] = (),
    changes: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> Collection:
    """Write the next edition of a collection and make it the current one.

    current: the edition to start from, or a card without "edition" (name, encoder, factory, near_duplicates) for the
    first one. new: folder of shards to add. without: ids of images to leave out. changes: to the card.
    on_progress: of indexing. The mappers must be in place.
    """
    exists = "edition" in current.card
    if exists and (current.features / CARD_NAME).is_file():
        verify_files(current.features)  # damage is not copied into the next edition
    edition = int(current.card["edition"]) + 1 if exists else 1
    following = CollectionLayout(current.folder, {**current.card, **(changes or {}), "edition": edition})
    for part, path in following.parts.items():
        _delete(part, path)
        make_folder(path)
    last = -1
    for stem in _stems(current.features, SUMMARY) if exists else ():
        last = int(stem)
        _carry_over(stem, current, following, set(without))
    if new is not None:
        for number, stem in enumerate(_stems(new, SUMMARY), last + 1):
            for suffix in (FEATURES, PIXELS, SUMMARY):
                _link(new / f"{stem}{suffix}", following.features / f"{number:05d}{suffix}")
            _link(new / f"{stem}.parquet", following.corpus / f"train-{number:05d}.parquet")
    shards = _stems(following.features, PIXELS)
    factory, encoder = str(following.card["factory"]), str(following.card["encoder"])
    pair = MapperPair.load(following.mappers(), encoder=encoder)
    files = [following.features / f"{stem}{FEATURES}" for stem in shards]
    count = sum(len(np.load(file, mmap_mode="r")) for file in files)
    mapped = (pair.map_training(np.load(file)) for file in files)
    index = TrainingIndex.build_from(mapped, factory, encoder, count, following.index(), on_progress)
    index.save(following.index())
    grouped = _group_near_duplicates(following, shards)
    for path, what in (
        (following.corpus, "images with captions and credits"),
        (following.features, "what was kept of each shard"),
    ):
        write_card(path, {"what": what, "files": sorted(p.name for p in path.iterdir() if p.is_file())})
    card = _with_facts(following)
    write_card(following.folder, {**card, "n_training": len(index), "near_duplicates": grouped})
    tidy(following)
    return Collection.open(following.folder)


def tidy(layout: CollectionLayout) -> None:
    """Delete what the card does not name: earlier editions, and what interrupted runs left."""
    for part, path in layout.outdated():
        _delete(part, path)
    for partial in layout.folder.glob(".*.part.*"):
        partial.unlink(missing_ok=True)


def discard_build(layout: CollectionLayout) -> None:
    """Delete the shards of a build; the plan first, so that whatever an interruption leaves is not resumed."""
    layout.plan.unlink(missing_ok=True)
    shutil.rmtree(layout.building, ignore_errors=True)


def _stems(folder: Path, suffix: str) -> list[str]:
    """Numbers of the shards in a folder that have a file with this ending, in order."""
    return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"[0-9]*{suffix}"))


def _delete(part: str, path: Path) -> None:
    if part == "index":
        TrainingIndex.discard(path)  # with what it keeps in a store
    else:
        shutil.rmtree(path, ignore_errors=True)


def _group_near_duplicates(layout: CollectionLayout, shards: Sequence[str]) -> dict[str, Any]:
    """Write the near-duplicate groups next to the corpus; returns what the card says of them."""
    threshold = layout.card.get("near_duplicates", {}).get("threshold", THRESHOLD)
    if threshold is None:
        return {"threshold": None}
    signatures = np.concatenate([np.load(layout.features / f"{stem}{PIXELS}") for stem in shards])
    groups = near_duplicates(signatures, float(threshold))
    ids = Corpus.open(layout.corpus).column("id")
    write_json_atomic(
        layout.corpus / DUPLICATES,
        {
            "what": "images that are one work, by id",
            "method": METHOD,
            "threshold": threshold,
            "sets": [[ids[p] for p in members] for members in groups.sets],
        },
    )
    return {"method": METHOD, "threshold": threshold, "works": len(groups.sets), "repeated": groups.images}


def _carry_over(stem: str, current: CollectionLayout, following: CollectionLayout, without: set[str]) -> None:
    """Take a shard into the next edition without some of its images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = current.corpus / f"train-{stem}.parquet"
    target = following.corpus / rows.name
    ids = pq.read_table(rows, columns=["id"])["id"].to_pylist() if rows.exists() else []
    kept = [name not in without for name in ids]
    if all(kept):
        _link(rows, target)
        for suffix in (FEATURES, PIXELS, SUMMARY):
            _link(current.features / f"{stem}{suffix}", following.features / f"{stem}{suffix}")
        return
    summary = read_json(current.features / f"{stem}{SUMMARY}")
    summary["ids"] = [name for name in summary["ids"] if name not in without]
    write_json_atomic(following.features / f"{stem}{SUMMARY}", summary)
    if not any(kept):
        return
    with atomic_path(target) as temporary:
        pq.write_table(
            pq.read_table(rows).filter(pa.array(kept)), temporary, compression="zstd", row_group_size=1000
        )
    for suffix in (FEATURES, PIXELS):
        values = np.load(current.features / f"{stem}{suffix}")[kept]
        write_array_atomic(following.features / f"{stem}{suffix}", values)


def _link(source: Path, target: Path) -> None:
    if not source.exists():  # a shard without readable images
        return
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
