"""Makes a collection of a person's own images; survives a kill at any point and goes on where it stopped.

Images go through in shards, which are kept in `building/` until all are there. A shard is done when what is told of it
exists, which is written last and under a temporary name; a killed run loses at most the shard it was in, and never
doubles an image. Then the collection changes at once (`editions`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from attribution_core.collection import editions, layout, shards
from attribution_core.collection.borrowed_calibrator import borrow_calibrator, calibrator_notice
from attribution_core.collection.build_report import IndexReport, entries
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import LOCK, SKIPPED, SUMMARY, UNMATCHED, UNREAD, CollectionLayout
from attribution_core.collection.ray import cluster as ray_cluster
from attribution_core.collection.ray import engine as ray_engine
from attribution_core.collection.sources.item import Columns, Source
from attribution_core.collection.sources.metadata import Join, Metadata
from attribution_core.collection.sources.open import open_source
from attribution_core.collection.sources.survey import ReadAs
from attribution_core.common.cards import CARD_NAME, read_card
from attribution_core.common.files import sha256_file, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.corpus.near_duplicates import LARGEST, THRESHOLD
from attribution_core.encoding.encoders import ENCODERS, load_encoder
from attribution_core.encoding.protocol import ImageEncoder
from attribution_core.errors import CheckpointError, InvalidInputError, unknown_name
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.backends import check_factory

USUAL_ENCODER = "efficientnet-lite0"
_ENCODING = "encoding images"
_OURS = {LOCK, SKIPPED, UNMATCHED, UNREAD}
TWICE = (
    "another image of the source has the same id; --id-from-file puts the name of its Parquet file before it"
)
_EncodedShards = Generator[tuple[shards.Shard, shards.Encoded], None, None]
_Encode = Callable[[Iterator[shards.Shard]], _EncodedShards]


class Engine(StrEnum):
    """What encodes the images: this program, or workers on Ray."""

    LOCAL = "local"
    RAY = "ray"


@dataclass
class _Seen:
    """Decides which of a source's images are to be read: what is new, and was not done before."""

    there: frozenset[str]
    done: set[str]
    met: set[str] = field(default_factory=set)
    known: int = 0
    twice: list[str] = field(default_factory=list)

    def wanted(self, name: str) -> bool:
        if name in self.met:
            self.twice.append(name)
            return False
        self.met.add(name)
        self.known += name in self.there
        return name not in self.there and name not in self.done


def build_collection(
    images: Path | str,
    out: Path | str,
    *,
    encoder: str | None = None,
    mappers: Path | str | None = None,
    factory: str = "Flat",
    metadata: Path | str | None = None,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    loaded: ImageEncoder | None = None,
    add: bool = False,
    near_duplicates: float | None = THRESHOLD,
    columns: Columns | None = None,
    key: str | None = None,
    split: str | None = None,
    config: str | None = None,
    image_column: str | None = None,
    prefix: str = "",
    engine: Engine | str = Engine.LOCAL,
    workers: int | None = None,
    read_as: ReadAs | str | None = None,
    id_from_file: bool = False,
) -> IndexReport:
    """Encode images and write a collection's folder, or add them to one.

    images: a folder (searched with its sub-folders), Parquet files, WebDataset tar shards or a Hugging Face data set;
    see `open_source`, which takes split, config, image_column, read_as and id_from_file. out: new or half-built folder.
    encoder: default efficientnet-lite0, or that of the collection that is added to. mappers: folder of a mapper pair,
    identity by default. factory: a name in `BACKENDS`, or the address of a Milvus store. metadata: CSV, Parquet or
    JSON whose column `key` names the images (default: the first of `metadata.KEYS`; an id, or a part of it by which
    one image alone goes) with any of the corpus's text columns, or those that `columns` names. loaded: an encoder to
    use as it is, in place of `encoder`; one of your own, too (see `ImageEncoder`). add: to the collection in `out`,
    with its own encoder, mappers and factory. near_duplicates: the threshold of `duplicates`; None groups none; a
    collection that is added to keeps its own. prefix: before each id. engine: "local", or "ray" for a cluster; the
    result is the same, and each goes on with what the other began. workers: encoders at once on Ray; see
    `ray_cluster.share`.

    Bad images are skipped and listed in `out`/skipped.json, rows and images without the other in `out`/unmatched.json,
    files that are none of the source's images in `out`/unread.json. Raises `InvalidInputError` for what is no source of
    images or holds none, and for metadata that does not fit its header, joins no image, or has one row for two;
    `CheckpointError` where `out` holds something else or nothing to add to, or a store cannot be reached.
    """
    folder, columns = Path(out), columns or Columns()
    if near_duplicates is not None and not 0 <= near_duplicates <= LARGEST:
        raise InvalidInputError(f"near_duplicates is {near_duplicates:g}, expected 0 to {LARGEST:g}, or off.")
    factory = check_factory(factory)
    _check_engine(engine, workers)
    card = dict(editions.indexed_layout(folder).card) if add else None
    encoder = encoder or (str(card["encoder"]) if card else USUAL_ENCODER)
    source = open_source(
        images,
        columns,
        split=split,
        config=config,
        image_column=image_column,
        read_as=read_as,
        id_from_file=id_from_file,
        out=folder,
        metadata=metadata,
    )
    table = Metadata.read(metadata, columns, key) if metadata else None
    plan = {
        **source.mark,
        "encoder": loaded.name if loaded else encoder,
        "prefix": prefix,
        "metadata": [table.digest, key, columns.chosen] if table else None,
        "mappers": None if card or mappers is None else sha256_file(Path(mappers) / CARD_NAME),
    }
    if card is not None and plan["encoder"] != card["encoder"]:
        raise CheckpointError(
            f"'{folder}' was made with encoder '{card['encoder']}', given '{plan['encoder']}'; give "
            "that one, or another --out."
        )
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    _refuse(folder, digest, add, str(plan["encoder"]))
    check_factory(str(card["factory"]) if card else factory, folder)  # before images are encoded for hours
    with layout.exclusive(folder):
        _refuse(folder, digest, add, str(plan["encoder"]))  # somebody may have come first
        if (folder / CARD_NAME).exists():
            card = dict(editions.indexed_layout(folder, changing=add).card)
            if not add:
                return _again(folder, card, factory, near_duplicates)
        CollectionLayout(folder).removing.unlink(missing_ok=True)  # images that went may come again
        work = CollectionLayout(folder).building
        there = frozenset(editions.image_ids(CollectionLayout(folder, card))) if card else frozenset()
        if _done(work) & there:  # it came in already, and the deletion behind that was cut off
            editions.discard_build(CollectionLayout(folder))
        join = None
        if table is not None:
            join = Join(table, _taken(folder, card, work, table.digest))
            join.plan((prefix + image, image, names) for image, names in source.names())
        _claim(work, digest)
        if engine == Engine.RAY:
            recipe = ray_engine.Recipe.of(encoder, device, loaded)
            network = loaded or ENCODERS[encoder]  # nothing is encoded here
            encode: _Encode = partial(ray_engine.encode_shards, recipe=recipe, workers=workers)
        else:
            network = loaded or load_encoder(encoder, device=device)
            encode = partial(_encode_here, encoder=network)
        pair = (
            MapperPair.load(mappers, encoder=network.name)
            if mappers
            else MapperPair.identity(network.dim, encoder=network.name)
        )
        seen = _Seen(there, _done(work))
        _build(source, prefix, join, encode, work, seen, on_progress)
        return _finish(
            folder,
            source,
            card,
            digest,
            join,
            seen,
            {"encoder": network.name, "factory": factory, "near_duplicates": {"threshold": near_duplicates}},
            pair,
            bool(mappers),
        )


def _check_engine(engine: Engine | str, workers: int | None) -> None:
    """Raise where the engine is none, is not installed, or takes no workers."""
    if engine not in list(Engine):
        raise unknown_name("engine", engine, map(str, Engine))
    if engine == Engine.RAY:
        ray_cluster.library()
    elif workers is not None:
        raise InvalidInputError(
            f"workers is {workers}, but the engine 'local' has none; give the engine 'ray', too."
        )
    if workers is not None and workers < 1:
        raise InvalidInputError(f"workers is {workers}, expected at least 1.")


def _refuse(folder: Path, digest: str, add: bool, encoder: str) -> None:
    """Raise `CheckpointError` where the folder is not ours to write to."""
    if (folder / CARD_NAME).exists():
        card = read_card(folder)
        if add or digest == card.get("built"):
            return
        theirs = card.get("encoder")
        hint = (
            f"was made with encoder '{theirs}'"
            if theirs != encoder
            else "was begun with other images or metadata"
        )
        raise CheckpointError(
            f"'{folder}' holds a collection already, which {hint}; add to it with --add, or give "
            "another --out."
        )
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"'{folder}' is a file, expected a folder to write to; give another --out.")
    begun = CollectionLayout(folder).building.exists()
    if not begun and folder.exists() and any(p.name not in _OURS for p in folder.iterdir()):
        raise CheckpointError(f"'{folder}' is not empty and was not begun by 'index'; give another --out.")


def _claim(work: Path, digest: str) -> None:
    """Begin, or go on with what an equal call began."""
    path = work / "plan.json"
    if not path.exists():
        shutil.rmtree(work, ignore_errors=True)  # of a deletion that was cut off
        write_json_atomic(path, {"digest": digest})
    elif read_json(path) != {"digest": digest}:
        raise CheckpointError(
            f"'{work.parent}' was begun with other images, metadata or encoder; go on with those, "
            f"give another --out, or delete '{work}'."
        )


def _told(work: Path) -> list[dict[str, Any]]:
    return [read_json(p) for p in sorted(work.glob(f"[0-9]*{SUMMARY}"))]


def _done(work: Path) -> set[str]:
    return {name for told in _told(work) for name in told["ids"]}


def _taken(folder: Path, card: Mapping[str, Any] | None, work: Path, table: str) -> dict[str, str]:
    """Row -> image of what earlier runs joined by the same table, of images that are still there."""
    kept = _told(CollectionLayout(folder, card).features) if card else []
    return {
        row: image
        for told in (*kept, *_told(work))
        if told.get("table") == table
        for row, image in told["joined"].items()
        if image in told["ids"]
    }


def _encode_here(stream: Iterator[shards.Shard], encoder: ImageEncoder) -> _EncodedShards:
    for items in stream:
        yield items, shards.encode(items, encoder)


def _build(
    source: Source,
    prefix: str,
    join: Join | None,
    encode: _Encode,
    work: Path,
    seen: _Seen,
    on_progress: OnProgress | None,
) -> None:
    number = len(_told(work))
    done = resumed = read = len(seen.done)
    if on_progress and done:
        on_progress(Progress(_ENCODING, done, source.total(done), resumed=resumed))

    def stream() -> Iterator[shards.Shard]:
        nonlocal read
        for items in shards.split(source.items(lambda name: seen.wanted(prefix + name)), prefix):
            read += len(items)  # an engine may read ahead of what is done
            yield items

    with closing(encode(stream())) as encoded_shards:
        for items, encoded in encoded_shards:
            shards.write(items, encoded, join, work, number)
            number, done = number + 1, done + len(items)
            if on_progress:
                total = source.total(read + seen.known)
                left = None if total is None else max(done, total - seen.known)
                on_progress(Progress(_ENCODING, done, left, resumed=resumed))


def _finish(
    folder: Path,
    source: Source,
    card: dict[str, Any] | None,
    digest: str,
    join: Join | None,
    seen: _Seen,
    made: Mapping[str, Any],
    pair: MapperPair,
    mapped: bool,
) -> IndexReport:
    work = CollectionLayout(folder).building
    told = _told(work)
    if not seen.met:
        editions.discard_build(CollectionLayout(folder))
        raise InvalidInputError(f"'{source.title}' holds no images.")
    skipped = [entry for shard in told for entry in shard["skipped"]]
    mended = {name for shard in told for name in shard["ids"]}
    skipped += [{"file": name, "reason": TWICE} for name in seen.twice]
    if join is not None and not join.taken:
        if card is None:
            editions.discard_build(CollectionLayout(folder))
        raise join.nothing_joined(next(iter(seen.met)))
    unmatched = {
        "rows": [row for row in join.table.rows if row not in join.taken] if join else [],
        "images": [name for shard in told for name in shard["unmatched"]],
    }
    unread = [{"file": name, "reason": reason} for name, reason in source.unread]
    added = sum((len(shard["ids"]) - len(shard["skipped"])) for shard in told)
    before = read_json(folder / SKIPPED) if card and (folder / SKIPPED).exists() else []
    write_json_atomic(
        folder / SKIPPED,
        [*(s for s in before if s["file"] not in mended and s not in skipped), *skipped],
    )
    (folder / UNREAD).unlink(missing_ok=True)
    if unread:
        write_json_atomic(folder / UNREAD, unread)
    if join:
        write_json_atomic(folder / UNMATCHED, unmatched)
    if not added and card is None:
        editions.discard_build(CollectionLayout(folder))
        raise InvalidInputError(
            f"none of the {len(skipped)} files in '{source.title}' can be read as an image; "
            f"'{folder / SKIPPED}' says why for each."
        )
    if card is None:
        pair.save(CollectionLayout(folder).mappers())
        if not mapped:
            borrow_calibrator(folder, str(made["encoder"]))
        what = {"what": f"collection of the images in '{source.title}'", "name": source.title, **made}
        collection = editions.publish(CollectionLayout(folder, what), new=work, changes={"built": digest})
    elif added:
        collection = editions.publish(CollectionLayout(folder, card), new=work)
    else:
        collection = Collection.open(folder)
    editions.tidy(CollectionLayout.read(folder))
    editions.discard_build(CollectionLayout(folder))
    return IndexReport(
        collection,
        entries(skipped),
        calibrator_notice(folder),
        added,
        seen.known,
        entries(chain.from_iterable(shard["notes"] for shard in told)),
        tuple(unmatched["rows"]),
        tuple(unmatched["images"]),
        entries(unread),
        join.table.unnamed if join else 0,
        join.table.unused if join else (),
    )


def _again(folder: Path, card: dict[str, Any], factory: str, near: float | None) -> IndexReport:
    """The call that made the collection: what it may ask for anew takes no image."""
    editions.tidy(CollectionLayout.read(folder))
    editions.discard_build(CollectionLayout(folder))
    asked = {"factory": factory, "near_duplicates": {"threshold": near}}
    same = card["factory"] == factory and card["near_duplicates"]["threshold"] == near
    collection = (
        Collection.open(folder) if same else editions.publish(CollectionLayout(folder, card), changes=asked)
    )
    path = folder / SKIPPED
    skipped = read_json(path) if path.exists() else []
    return IndexReport(collection, entries(skipped), calibrator_notice(folder), 0, len(collection.index))
