"""Builds a collection from images, or adds images to one; can be interrupted at any point and resumed.

Images are encoded in shards, which wait in `building/` until all are there. A shard is complete once its summary file
exists, which is written last; an interruption loses at most the shard being encoded and never duplicates an image. All
shards then enter the collection in one step (see `editions`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from attribution_core.collection import editions, shards
from attribution_core.collection.borrowed_calibrator import borrow_calibrator, calibrator_notice
from attribution_core.collection.build_report import IndexReport, Skipped
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import (
    LOCK,
    OPT_OUT_LISTS,
    OPTED_OUT,
    SKIPPED,
    SUMMARY,
    UNMATCHED,
    UNMATCHED_ENTRIES,
    UNREAD,
    CollectionLayout,
    exclusive,
)
from attribution_core.collection.opt_out_lists import ListUse, OptOutList
from attribution_core.collection.opt_outs import (
    OptOutOptions,
    Screen,
    left_out,
    lists_with_earlier,
    matches_in,
    record_lists,
    write_unmatched,
)
from attribution_core.collection.options import COPY_ENCODER, Engine, EngineKind, IndexOptions
from attribution_core.collection.ray import cluster as ray_cluster
from attribution_core.collection.ray import engine as ray_engine
from attribution_core.collection.sources.item import Source, SourceItem
from attribution_core.collection.sources.metadata import Join, Metadata
from attribution_core.collection.sources.open import open_source
from attribution_core.collection.sources.options import SourceOptions
from attribution_core.common.cards import CARD_NAME, read_card
from attribution_core.common.files import sha256_file, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.encoding.encoders import ENCODERS, load_encoder
from attribution_core.encoding.protocol import ImageEncoder
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.backends import check_factory

__all__ = ["Engine", "EngineKind", "IndexOptions", "OptOutOptions", "SourceOptions", "build_collection"]

DEFAULT_ENCODER = "efficientnet-lite0"
REPEATED_ID = "another image of the source has the same id; of Parquet files, --id-from-file keeps them apart"
ENCODING = "encoding images"
"""Stage of the progress of a build that counts images read, before they are indexed."""
_OWN_FILES = {LOCK, OPT_OUT_LISTS, OPTED_OUT, SKIPPED, UNMATCHED, UNMATCHED_ENTRIES, UNREAD}
_EncodedShards = Generator[tuple[shards.Shard, shards.Encoded], None, None]
_Encode = Callable[[Iterator[shards.Shard]], _EncodedShards]


def build_collection(
    images: Path | str,
    out: Path | str,
    *,
    encoder: str | None = None,
    loaded: ImageEncoder | None = None,
    mappers: Path | str | None = None,
    add: bool = False,
    device: str = "auto",
    source: SourceOptions | None = None,
    index: IndexOptions | None = None,
    engine: Engine | None = None,
    opt_outs: OptOutOptions | None = None,
    on_progress: OnProgress | None = None,
) -> IndexReport:
    """Encode images and write a collection's folder, or add them to one.

    Unreadable images are skipped and listed in `out`/skipped.json; rows and images without each other in
    `out`/unmatched.json; files of the source that are not its images in `out`/unread.json; images that are left out
    because their owners opted out, now or by earlier calls, in `out`/opted_out.json; entries of opt-out lists that name
    no image in `out`/unmatched_opt_outs.json; the lists themselves in `out`/opt_out_lists.json, so that additions
    apply them, too.

    Args:
        images: A folder (searched with its sub-folders), a ZIP file, Parquet files, WebDataset tar shards or a Hugging
            Face data set; see `open_source`.
        out: A new folder, or one that an interrupted call left.
        encoder: A row in `ENCODERS`; by default efficientnet-lite0, or that of the collection that is added to.
        loaded: An encoder object to use in its place, which may be your own (see `ImageEncoder`).
        mappers: Folder of a mapper pair; the identity by default.
        add: Add to the collection in `out`, which keeps its encoder, mappers and index options.
        device: "auto", "cpu", "cuda" or "mps".
        source: How to read the images, and a table of metadata.
        index: The kind of index, what counts as near-duplicates, and what tells copies.
        engine: What encodes; this program by default.
        opt_outs: Lists of images that must not be trained on, and what is done with these and with images that say so
            themselves; by default, the latter are left out.
        on_progress: Called after each shard.

    Raises:
        InvalidInputError: `images` cannot be read or holds none; metadata does not fit its header, joins no image, or
            has one row for two; an opt-out list cannot be read; all images opted out.
        CheckpointError: `out` holds something else or nothing to add to; a store cannot be reached; an opt-out list
            that was given before is gone.
    """
    folder, options = Path(out), source or SourceOptions()
    index, engine = index or IndexOptions(), engine or Engine()
    opt_outs = opt_outs or OptOutOptions()
    if opt_outs.even_if_opted_out and not add:
        raise InvalidInputError(
            "images that were left out before can only be added to a collection; for a new one, choose the opt-out "
            "policy 'mark'."
        )
    if engine.kind == EngineKind.RAY:
        ray_cluster.library()
    current = editions.indexed_layout(folder) if add else CollectionLayout(folder)
    lists, earlier = (
        lists_with_earlier(current, opt_outs.files) if add else (OptOutList.read(opt_outs.files), {})
    )
    name = loaded.name if loaded else encoder or str(current.card.get("encoder", DEFAULT_ENCODER))
    if add and name != (theirs := current.card.get("encoder")):
        raise CheckpointError(
            f"'{folder}' was made with encoder '{theirs}', given '{name}'; give that one, or another --out."
        )
    opened = open_source(images, options, out=folder)
    table = Metadata.read(options.metadata, options.columns, options.key) if options.metadata else None
    plan = {
        **opened.mark,
        "encoder": name,
        "prefix": options.prefix,
        "metadata": [table.digest, options.key, options.columns.chosen] if table else None,
        "mappers": None if add or mappers is None else sha256_file(Path(mappers) / CARD_NAME),
        **Screen(lists, opt_outs).mark,
    }
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    if not add:
        _check_folder(folder, digest, name)  # so that no lock is left in a folder of somebody else's
    check_factory(str(current.card.get("factory", index.factory)), folder)  # before hours of encoding
    with exclusive(folder):
        if add:
            current = editions.indexed_layout(folder)
        elif _check_folder(folder, digest, name):
            return _reindex(editions.indexed_layout(folder, changing=False), index, on_progress)
        screen = Screen(lists, opt_outs, left_out(current) if add else {})
        build = Build.start(current, digest, opened, options.prefix, table, screen)
        if engine.kind == EngineKind.RAY:
            recipe = ray_engine.Recipe.of(name, device, loaded)
            network = loaded or ENCODERS[name]  # nothing is encoded in this process
            encode: _Encode = partial(ray_engine.encode_shards, recipe=recipe, workers=engine.workers)
        else:
            network = loaded or load_encoder(name, device=device)
            encode = partial(_encode_here, encoder=network)
        pair = (
            MapperPair.load(mappers, encoder=network.name)
            if mappers
            else MapperPair.identity(network.dim, encoder=network.name)
        )
        build.encode(encode, on_progress)
        return replace(build.publish(pair, index, mappers is None, on_progress), earlier_lists=earlier)


def _check_folder(folder: Path, digest: str, encoder: str) -> bool:
    """Return whether an equal call has built the collection in the folder already.

    Raises `CheckpointError` if the folder holds another collection or other files.
    """
    if (folder / CARD_NAME).exists():
        card = read_card(folder)
        if digest == card.get("built"):
            return True
        theirs = card.get("encoder")
        hint = (
            f"was made with encoder '{theirs}'"
            if theirs != encoder
            else "was begun with other images, metadata or opt-outs"
        )
        raise CheckpointError(
            f"'{folder}' holds a collection already, which {hint}; add to it with --add, or give "
            "another --out."
        )
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"'{folder}' is a file, expected a folder to write to; give another --out.")
    begun = CollectionLayout(folder).building.exists()
    if not begun and folder.exists() and any(p.name not in _OWN_FILES for p in folder.iterdir()):
        raise CheckpointError(f"'{folder}' is not empty and was not begun by 'index'; give another --out.")
    return False


def _reindex(layout: CollectionLayout, index: IndexOptions, on_progress: OnProgress | None) -> IndexReport:
    """Apply other index options to a complete collection; no image is encoded."""
    editions.tidy(layout)
    editions.discard_build(layout)
    changes = index.in_card
    same = (
        layout.card["factory"] == index.factory
        and layout.card["near_duplicates"]["threshold"] == index.near_duplicates
        and index.copy_encoder in (None, layout.card.get(COPY_ENCODER))
    )
    collection = (
        Collection.open(layout.folder)
        if same
        else editions.publish(layout, changes=changes, on_progress=on_progress)
    )
    return IndexReport(
        collection,
        _entries(_read_list(layout.folder / SKIPPED)),
        calibrator_notice(layout),
        known=len(collection.index),
        opted_out=_entries(_read_list(layout.folder / OPTED_OUT)),
    )


def _encode_here(stream: Iterator[shards.Shard], encoder: ImageEncoder) -> _EncodedShards:
    for items in stream:
        yield items, shards.encode(items, encoder)


def _summaries(folder: Path) -> list[dict[str, Any]]:
    """What is known of each complete shard in a folder."""
    return [read_json(path) for path in sorted(folder.glob(f"[0-9]*{SUMMARY}"))]


def _read_list(path: Path) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = read_json(path) if path.exists() else []
    return entries


def _entries(rows: Iterable[dict[str, str]]) -> tuple[Skipped, ...]:
    return tuple(Skipped(**row) for row in rows)


@dataclass
class Build:
    """A build under way, in a folder that is locked.

    layout: of the collection that is added to, or with an empty card for a new one. digest: of what the call was given.
    prefix: before each id. join: metadata by image. present: ids in the collection. encoded: ids in complete shards.
    screen: decides about opt-outs. met: ids of the source so far. known: how many of them are in the collection.
    repeated: ids that came again. refused: ids that were left out before, and stay so.
    """

    layout: CollectionLayout
    digest: str
    source: Source
    prefix: str
    join: Join | None
    present: frozenset[str]
    encoded: set[str]
    screen: Screen
    met: set[str] = field(default_factory=set)
    known: int = 0
    repeated: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        layout: CollectionLayout,
        digest: str,
        source: Source,
        prefix: str,
        table: Metadata | None,
        screen: Screen,
    ) -> Build:
        """Start, or resume what an equal call began.

        Raises `CheckpointError` if another call began, `InvalidInputError` if the table does not fit the images.
        """
        layout.removing.unlink(missing_ok=True)  # images that were removed may be added again
        if not layout.plan.exists():
            shutil.rmtree(layout.building, ignore_errors=True)  # what an interrupted deletion left
        present = frozenset(editions.image_ids(layout)) if layout.card else frozenset[str]()
        waiting = _summaries(layout.building)
        if any(not present.isdisjoint(shard["ids"]) for shard in waiting):
            editions.discard_build(layout)  # these shards are published; only deleting them was interrupted
            waiting = []
        join = None
        if table is not None:
            published = _summaries(layout.features) if layout.card else []
            join = Join(table, _rows_in_use([*published, *waiting], table.digest))
            join.plan((prefix + image, image, names) for image, names in source.names())
        if not layout.plan.exists():
            write_json_atomic(layout.plan, {"digest": digest})
        elif read_json(layout.plan) != {"digest": digest}:
            raise CheckpointError(
                f"'{layout.folder}' was begun with other images, metadata, encoder or opt-outs; go on with those, "
                f"give another --out, or delete '{layout.building}'."
            )
        encoded = {name for shard in waiting for name in shard["ids"]}
        return cls(layout, digest, source, prefix, join, present, encoded, screen)

    def wanted(self, image: str) -> bool:
        """Whether to read an image, by its id in the source: it is new, and no complete shard holds it."""
        name = self.prefix + image
        if name in self.met:
            self.repeated.append(name)
            return False
        self.met.add(name)
        self.known += name in self.present
        if name in self.present or name in self.encoded:
            return False
        if self.screen.refuses(name):
            self.refused.append(name)
            return False
        return True

    def screened(self, name: str, item: SourceItem) -> SourceItem:
        """Drop the picture of an image that is left out for what its row or a list says, so that nobody opens it."""
        if not self.screen.leaves_out or item.data is None:
            return item
        row = self.join.row(name, item.id, item.names) if self.join else None
        reason = self.screen.reason(name, item, shards.text_of(item, self.join, row))
        return replace(item, data=None, problem=reason) if reason else item

    def encode(self, encode: _Encode, on_progress: OnProgress | None) -> None:
        """Encode what is wanted, and write it shard by shard."""
        number = len(_summaries(self.layout.building))
        done = resumed = read = len(self.encoded)
        if on_progress and done:
            on_progress(Progress(ENCODING, done, self.source.total(done), resumed=resumed))

        def stream() -> Iterator[shards.Shard]:
            nonlocal read
            for items in shards.split(self.source.items(self.wanted), self.prefix):
                read += len(items)  # an engine may read ahead of what is done
                yield [(name, self.screened(name, item)) for name, item in items]

        with closing(encode(stream())) as encoded_shards:
            for items, encoded in encoded_shards:
                shards.write(items, encoded, self.join, self.screen, self.layout.building, number)
                number, done = number + 1, done + len(items)
                if on_progress:
                    passed = self.known + len(self.refused)
                    total = self.source.total(read + passed)
                    left = None if total is None else max(done, total - passed)
                    on_progress(Progress(ENCODING, done, left, resumed=resumed))

    def publish(
        self, pair: MapperPair, index: IndexOptions, borrow: bool, on_progress: OnProgress | None
    ) -> IndexReport:
        """Move the shards into the collection, and list what is not in it.

        pair, index: of a new collection. borrow: take the bundled calibrator if it fits. Raises `InvalidInputError` if
        there is nothing to make a collection of.
        """
        layout, new = self.layout, not self.layout.card
        waiting = _summaries(layout.building)
        if not self.met:
            editions.discard_build(layout)
            raise InvalidInputError(f"'{self.source.title}' holds no images.")
        if self.join is not None and not self.join.taken:
            if new:
                editions.discard_build(layout)
            raise self.join.nothing_joined(next(iter(self.met)))
        skipped = [entry for shard in waiting for entry in shard["skipped"]]
        skipped += [{"file": name, "reason": REPEATED_ID} for name in self.repeated]
        opted_out = {e["file"]: e["reason"] for shard in waiting for e in shard.get("opted_out", ())}
        read = sum(len(shard["ids"]) for shard in waiting)
        added = read - len(opted_out) - sum(len(shard["skipped"]) for shard in waiting)
        unread = [{"file": name, "reason": reason} for name, reason in self.source.unread]
        rows = [row for row in self.join.table.rows if row not in self.join.taken] if self.join else []
        unmatched = [name for shard in waiting for name in shard["unmatched"]]
        self._write_lists(waiting, skipped, unread, {"rows": rows, "images": unmatched})
        read_again = {name for shard in waiting for name in shard["ids"]}
        still = {name: said for name, said in self.screen.before.items() if name not in read_again}
        editions.record_left_out(layout, {**still, **opted_out})
        if not added and new and opted_out:
            editions.discard_build(layout)
            raise InvalidInputError(
                f"no image of '{self.source.title}' is left to make a collection of: {len(opted_out):,} opted out of "
                f"training, {len(skipped):,} cannot be read; '{layout.folder / OPTED_OUT}' says why for each."
            )
        if not added and new:
            editions.discard_build(layout)
            raise InvalidInputError(
                f"none of the {len(skipped)} files in '{self.source.title}' can be read as an image; "
                f"'{layout.folder / SKIPPED}' says why for each."
            )
        use = self._use_of_lists(waiting)
        listed = matches_in(layout, use, marked=False) if not new and use.lists.digest else {}
        unmatched_entries = write_unmatched(layout, use)
        record_lists(layout, self.screen.lists)
        if new:
            pair.save(layout.mappers())
            if borrow:
                borrow_calibrator(layout, pair.encoder)
            card = {
                "what": f"collection of the images in '{self.source.title}'",
                "name": self.source.title,
                "encoder": pair.encoder,
                **index.in_card,
                "built": self.digest,
            }
            collection = editions.publish(
                CollectionLayout(layout.folder, card), new=layout.building, on_progress=on_progress
            )
        elif added:
            collection = editions.publish(layout, new=layout.building, on_progress=on_progress)
        else:
            editions.tidy(layout)
            editions.update_facts(layout)
            collection = Collection.open(layout.folder)
        editions.discard_build(layout)
        left = {**{name: self.screen.before[name] for name in self.refused}, **opted_out}
        return IndexReport(
            collection,
            _entries(skipped),
            calibrator_notice(layout),
            added,
            self.known,
            _entries(chain.from_iterable(shard["notes"] for shard in waiting)),
            tuple(rows),
            tuple(unmatched),
            _entries(unread),
            self.join.table.unnamed if self.join else 0,
            self.join.table.unused if self.join else (),
            tuple(Skipped(name, reason) for name, reason in left.items()),
            len(self.refused),
            len(listed),
            len(use.lists.written),
            unmatched_entries,
        )

    def _use_of_lists(self, waiting: list[dict[str, Any]]) -> ListUse:
        """Which entries of the opt-out lists came up among new images, and among those left out before."""
        use = ListUse(self.screen.lists)
        for shard in waiting:
            entries = shard.get("entries", {"named": (), "makers": ()})
            use.named.update(entries["named"])
            use.makers.update(entries["makers"])
        use.recall(self.screen.before)
        return use

    def _write_lists(
        self,
        waiting: list[dict[str, Any]],
        skipped: list[dict[str, str]],
        unread: list[dict[str, str]],
        unmatched: dict[str, list[str]],
    ) -> None:
        """List skipped images, with those of earlier builds that were not read again; unread files; unmatched rows."""
        folder, again = self.layout.folder, {name for shard in waiting for name in shard["ids"]}
        earlier = _read_list(folder / SKIPPED) if self.layout.card else []
        kept = [entry for entry in earlier if entry["file"] not in again and entry not in skipped]
        write_json_atomic(folder / SKIPPED, [*kept, *skipped])
        (folder / UNREAD).unlink(missing_ok=True)
        if unread:
            write_json_atomic(folder / UNREAD, unread)
        if self.join:
            write_json_atomic(folder / UNMATCHED, unmatched)


def _rows_in_use(summaries: Iterable[dict[str, Any]], table: str) -> dict[str, str]:
    """Row -> image, as earlier builds joined the same table, of images that are still in their shard."""
    return {
        row: image
        for shard in summaries
        if shard.get("table") == table
        for row, image in shard["joined"].items()
        if image in shard["ids"]
    }
