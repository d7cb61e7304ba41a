"""Attributes the images of a source block by block: encoded together, searched for in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, count, islice

from PIL import Image

from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.finding import LISTED
from attribution_core.attribution.origin import made_by
from attribution_core.collection.sources.item import SourceItem
from attribution_core.common.images import LIMITS, Limits, read_file, read_image, read_recipe
from attribution_core.errors import InvalidImageError, InvalidInputError
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.batch.row import BatchRow, batch_row, copy_check

_OPENED = 8  # images that are decoded side by side
_PIXELS = 100_000_000  # of a block, which is in memory at once


@dataclass(frozen=True)
class BatchOptions:
    """How images are attributed.

    top: training images that are listed, and so summed by maker. works: how many of an image's works are kept.
    temperature: in place of the fitted one. said_so: whether their owner says that a model trained on the collection
    made them all. block: images that are encoded and searched for together. limits: of one image. largest: longer side
    in px to which images are scaled down as they are read.
    """

    top: int = LISTED
    works: int = 10
    temperature: float | None = None
    said_so: bool = False
    block: int = 64
    limits: Limits = field(default=LIMITS)
    largest: int | None = None


@dataclass(frozen=True, eq=False)
class _Opened:
    """An image that waits for its block, or a row that is complete already."""

    name: str
    sha256: str = ""
    image: Image.Image | None = None
    recipe: Recipe | None = None
    row: BatchRow | None = None


def attribute_batch(
    items: Iterable[SourceItem],
    attributor: Attributor,
    copies: Memorization | None,
    options: BatchOptions | None = None,
    known: Mapping[str, BatchRow] | None = None,
) -> Iterator[tuple[BatchRow, ...]]:
    """Yield rows in the order of the items, a block at a time; what cannot be read is a row that says why.

    Names that repeat get a number: "a.png", "a.png (2)". copies: what tells copies; None leaves them out. known: rows
    of an earlier run by name, which are taken as they are where the file is the same. Raises what
    `Attributor.attribute` raises.
    """
    options = options or BatchOptions()
    known = known or {}
    block: list[_Opened] = []
    pixels = 0
    with ThreadPoolExecutor(_OPENED) as pool:
        stream = _named(items)
        while several := list(islice(stream, _OPENED)):
            for opened in pool.map(lambda one: _open(one[0], one[1], options, known), several):
                block.append(opened)
                pixels += 0 if opened.image is None else opened.image.width * opened.image.height
                if len(block) >= options.block or pixels >= _PIXELS:
                    yield _rows(block, attributor, copies, options)
                    block, pixels = [], 0
    if block:
        yield _rows(block, attributor, copies, options)


def _named(items: Iterable[SourceItem]) -> Iterator[tuple[str, SourceItem]]:
    taken: set[str] = set()
    for item in items:
        numbered = (f"{item.id} ({number})" for number in count(2))
        name = next(name for name in chain([item.id], numbered) if name not in taken)
        taken.add(name)
        yield name, item


def _open(name: str, item: SourceItem, options: BatchOptions, known: Mapping[str, BatchRow]) -> _Opened:
    sha256 = ""
    try:
        if item.data is None:
            raise InvalidImageError(item.problem)
        data = read_file(item.data, options.limits)
        sha256 = hashlib.sha256(data).hexdigest()
        earlier = known.get(name)
        if earlier is not None and earlier.sha256 == sha256:
            return _Opened(name, row=earlier)
        image = read_image(data, options.limits, options.largest)
        return _Opened(name, sha256, image, _recipe(data))
    except InvalidImageError as error:
        return _Opened(name, row=BatchRow(name, sha256, problem=str(error)))


def _recipe(data: bytes) -> Recipe | None:
    """The recipe in a file; a damaged one is left aside, since influence does not depend on it."""
    try:
        values = read_recipe(data)
        return None if values is None else Recipe.from_dict(values)
    except (InvalidImageError, InvalidInputError):
        return None


def _rows(
    block: Sequence[_Opened], attributor: Attributor, copies: Memorization | None, options: BatchOptions
) -> tuple[BatchRow, ...]:
    collection = attributor.collection
    waiting = [(one, one.image) for one in block if one.image is not None]
    images = [image for _, image in waiting]
    origins = [made_by(one.recipe, collection, said_so=options.said_so) for one, _ in waiting]
    results = attributor.attribute_all(images, options.top, options.temperature, origins)
    verdicts = copies.check_all(images) if copies is not None and images else [None] * len(images)
    rows = {
        one.name: batch_row(
            one.name,
            one.sha256,
            result,
            collection.corpus,
            recipe=one.recipe,
            copy=None if verdict is None else copy_check(verdict, image, collection.corpus),
            works=options.works,
        )
        for (one, image), result, verdict in zip(waiting, results, verdicts, strict=True)
    }
    return tuple(rows[one.name] if one.row is None else one.row for one in block)
