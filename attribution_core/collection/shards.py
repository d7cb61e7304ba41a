"""Shards of a build: a few hundred images that are opened, encoded and written together."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.collection.layout import FEATURES, PIXELS, SUMMARY
from attribution_core.collection.opt_out_lists import ListUse
from attribution_core.collection.opt_outs import Screen
from attribution_core.collection.sources.item import SourceItem
from attribution_core.collection.sources.metadata import Join
from attribution_core.common.cells import UNREADABLE
from attribution_core.common.files import write_array_atomic, write_json_atomic
from attribution_core.common.images import read_file, read_image
from attribution_core.corpus.corpus import SIZE_COLUMNS, Corpus
from attribution_core.corpus.near_duplicates import SIDE, signature
from attribution_core.credentials.opt_outs import declared_in
from attribution_core.encoding.protocol import ImageEncoder
from attribution_core.errors import InvalidImageError

THUMBNAIL = 256
LARGEST_SIDE = 1024
"""In pixels: larger than the input of any encoder. Larger images are made smaller as soon as they are opened."""
SHARD = 256
SHARD_BYTES = 200_000_000
"""Most bytes of images in a shard, since they are in memory together."""


Shard = list[tuple[str, SourceItem]]
"""Images that are encoded together, with their ids, in order."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """The results for a shard's n images, in order; plain data, which can be sent between machines.

    images: of each, size and thumbnail as columns of the corpus, "opted_out" if its file says so, and a "note"; or why
    it is skipped. pixels: (n, 3 * SIDE * SIDE)
    uint8 near-duplicate signatures. features: (n, d) float32. Rows of skipped images are meaningless.
    """

    images: tuple[Mapping[str, Any] | str, ...]
    pixels: NDArray[np.uint8]
    features: NDArray[np.float32]


def split(stream: Iterable[SourceItem], prefix: str) -> Iterator[Shard]:
    """Cut a stream of images into shards. prefix: put before each id."""
    items: Shard = []
    size = 0
    for item in stream:
        items.append((prefix + item.id, item))
        size += len(item.data) if isinstance(item.data, bytes) else 0
        if len(items) == SHARD or size >= SHARD_BYTES:
            yield items
            items, size = [], 0
    if items:
        yield items


class _Pictures(Sequence[Image.Image]):
    """A shard's images, opened on access, so that an encoder decodes them in its own threads while it computes.

    An unreadable image is replaced with a grey one, whose features are discarded.
    """

    def __init__(self, items: Sequence[SourceItem]) -> None:
        self._items = items
        self.results: list[dict[str, Any] | str | None] = [None] * len(items)
        self.pixels = np.zeros((len(items), 3 * SIDE * SIDE), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        item, k = self._items[k], range(len(self))[k]
        try:
            if item.data is None:
                raise InvalidImageError(item.problem)
            picture = read_image(item.data)
        except InvalidImageError as error:
            self.results[k] = str(error)
            return Image.new("RGB", (64, 64), "grey")
        size = picture.size
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        if self.results[k] is None:
            self.pixels[k] = signature(picture)
            declared = declared_in(read_file(item.data))
            self.results[k] = {
                "width": size[0],
                "height": size[1],
                "image": {"bytes": _thumbnail(picture)},
                "opted_out": declared.opt_out,
                "note": declared.note,
            }
        return picture


def encode(items: Shard, encoder: ImageEncoder) -> Encoded:
    """Open and encode a shard's images; nothing is written."""
    pictures = _Pictures([item for _, item in items])
    features = np.asarray(encoder.encode(pictures), dtype=np.float32)
    results: list[Mapping[str, Any] | str] = []
    for k in range(len(items)):
        if pictures.results[k] is None:  # a user's own encoder may not look at every image
            _ = pictures[k]
        results.append(pictures.results[k] or "")
    return Encoded(tuple(results), pictures.pixels, features)


def text_of(item: SourceItem, join: Join | None, row: str | None) -> dict[str, str]:
    """The corpus's columns of an image: its source's, under those of its row in the table of metadata, if any."""
    return {**item.text, **(join.table.rows[row] if join and row is not None else {})}


def write(items: Shard, encoded: Encoded, join: Join | None, screen: Screen, work: Path, number: int) -> None:
    """Write a shard's rows, signatures and features, and last its summary, which makes it complete.

    Images that `screen` leaves out are only named in the summary.
    """
    good: list[int] = []
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {
        "ids": [name for name, _ in items],
        "skipped": [],
        "opted_out": [],
        "notes": [],
        "table": join.table.digest if join else None,
        "joined": {},
        "unmatched": [],
    }
    use = ListUse(screen.lists)
    for k, ((name, item), result) in enumerate(zip(items, encoded.images, strict=True)):
        row = join.row(name, item.id, item.names) if join else None
        if row is not None:
            summary["joined"][row] = name
        text = text_of(item, join, row)
        image = None if isinstance(result, str) else result
        reason = screen.reason(name, item, text, image, use)
        if reason and screen.leaves_out:
            summary["opted_out"].append({"file": name, "reason": reason})
            continue
        if isinstance(result, str):
            summary["skipped"].append({"file": name, "reason": result})
            continue
        if join and row is None:
            summary["unmatched"].append(name)
        notes = [note for note in (item.note, result["note"]) if note]
        notes += [
            f"its {column} holds what is no text, now '{UNREADABLE}'"
            for column, value in text.items()
            if UNREADABLE in value
        ]
        if notes:
            summary["notes"].append({"file": name, "reason": "; ".join(notes)})
        good.append(k)
        own = {column: result[column] for column in SIZE_COLUMNS}
        picture = {**result["image"], "path": f"{name}.webp"}
        rows.append({**text, **own, "opted_out": reason, "id": name, "image": picture})
    summary["entries"] = {"named": sorted(use.named), "makers": sorted(use.makers)}
    if rows:
        Corpus.write(work / f"{number:05d}.parquet", rows)
        for suffix, values in ((PIXELS, encoded.pixels), (FEATURES, encoded.features)):
            write_array_atomic(work / f"{number:05d}{suffix}", values[good])
    write_json_atomic(work / f"{number:05d}{SUMMARY}", summary)


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()
