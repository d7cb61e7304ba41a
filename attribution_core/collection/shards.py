"""One shard of a collection that is built: some hundred images opened, encoded and written."""

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
from attribution_core.collection.sources.item import SourceItem
from attribution_core.collection.sources.metadata import Join
from attribution_core.common.cells import UNREADABLE
from attribution_core.common.files import write_array_atomic, write_json_atomic
from attribution_core.common.images import read_image
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.near_duplicates import SIDE, signature
from attribution_core.encoding.protocol import ImageEncoder
from attribution_core.errors import InvalidImageError

THUMBNAIL = 256
LARGEST_SIDE = 1024
"""Pixels: more than any encoder takes."""
SHARD = 256
SHARD_BYTES = 200_000_000
"""A shard of images that come as bytes ends here, however few they are: they are in memory together."""


Shard = list[tuple[str, SourceItem]]
"""Images that are built at once, with their ids, in order."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What was made of a shard's n images, in order; holds no file and no network, so that it can travel.

    made: of each its size and thumbnail as columns of the corpus, or why it is skipped. pixels: (n, 3 * SIDE * SIDE)
    uint8 signatures. features: (n, d) float32. Rows of what is skipped mean nothing.
    """

    made: tuple[Mapping[str, Any] | str, ...]
    pixels: NDArray[np.uint8]
    features: NDArray[np.float32]


def split(stream: Iterable[SourceItem], prefix: str) -> Iterator[Shard]:
    """What is built at once."""
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
    """A shard's images, opened when they are asked for: in the encoder's threads, while it computes.

    A broken one is a grey field, whose features are thrown away.
    """

    def __init__(self, items: Sequence[SourceItem]) -> None:
        self._items = items
        self.made: list[dict[str, Any] | str | None] = [None] * len(items)
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
            self.made[k] = str(error)
            return Image.new("RGB", (64, 64), "grey")
        size = picture.size
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        if self.made[k] is None:
            self.pixels[k] = signature(picture)
            self.made[k] = {"width": size[0], "height": size[1], "image": {"bytes": _thumbnail(picture)}}
        return picture


def encode(items: Shard, encoder: ImageEncoder) -> Encoded:
    """Open and encode a shard's images; writes nothing."""
    pictures = _Pictures([item for _, item in items])
    features = np.asarray(encoder.encode(pictures), dtype=np.float32)
    made: list[Mapping[str, Any] | str] = []
    for k in range(len(items)):
        if pictures.made[k] is None:  # an encoder of one's own may look at fewer
            _ = pictures[k]
        made.append(pictures.made[k] or "")
    return Encoded(tuple(made), pictures.pixels, features)


def write(items: Shard, encoded: Encoded, join: Join | None, work: Path, number: int) -> None:
    """Write a shard's rows, signatures and features, and last what is told of it: then it is done."""
    good: list[int] = []
    rows: list[dict[str, Any]] = []
    told: dict[str, Any] = {
        "ids": [name for name, _ in items],
        "skipped": [],
        "notes": [],
        "table": join.table.digest if join else None,
        "joined": {},
        "unmatched": [],
    }
    for k, ((name, item), made) in enumerate(zip(items, encoded.made, strict=True)):
        row = join.row(name, item.id, item.names) if join else None
        if row is not None:
            told["joined"][row] = name
        if isinstance(made, str):
            told["skipped"].append({"file": name, "reason": made})
            continue
        if join and row is None:
            told["unmatched"].append(name)
        text = {**item.text, **(join.table.rows[row] if join and row is not None else {})}
        notes = [item.note] if item.note else []
        notes += [
            f"its {column} holds what is no text, now '{UNREADABLE}'"
            for column, value in text.items()
            if UNREADABLE in value
        ]
        if notes:
            told["notes"].append({"file": name, "reason": "; ".join(notes)})
        good.append(k)
        rows.append({**text, **made, "id": name, "image": {**made["image"], "path": f"{name}.webp"}})
    if rows:
        Corpus.write(work / f"{number:05d}.parquet", rows)
        for suffix, values in ((PIXELS, encoded.pixels), (FEATURES, encoded.features)):
            write_array_atomic(work / f"{number:05d}{suffix}", values[good])
    write_json_atomic(work / f"{number:05d}{SUMMARY}", told)


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()
