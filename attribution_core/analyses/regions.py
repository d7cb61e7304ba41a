"""Attribution of parts of an image: a region on its own, and a grid coloured by each patch's closest training image.

Exploratory: temperatures are fitted on whole images, so that shares of a region have no fitted scale of their own.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.groups import UNKNOWN, GroupBy
from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.common.arrays import whole
from attribution_core.common.images import border_colour
from attribution_core.errors import InvalidImageError, InvalidInputError

MOST_CELLS = 12
"""Most cells of a grid along each side."""
SMALLEST_SIDE = 4
"""Least width and height of a region, in pixels of the query."""
WIDENED = 2.0
"""Width of a patch over that of its cell: patches overlap, so that each shows whole objects."""
_BLANK = 6.0  # 8-bit steps; a patch whose pixels differ less from the ground shows nothing


@dataclass(frozen=True)
class Box:
    """A rectangle of an image: left, top, right and bottom edge as fractions of its width and height."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        """Check that it is a rectangle inside the image. Raises `InvalidInputError`."""
        edges = (self.x0, self.y0, self.x1, self.y1)
        if any(
            isinstance(v, bool) or not isinstance(v, (int, float, np.number)) or not math.isfinite(v)
            for v in edges
        ):
            raise InvalidInputError(f"a box has four numbers, given {edges}.")
        if not (0 <= self.x0 < self.x1 <= 1 and 0 <= self.y0 < self.y1 <= 1):
            raise InvalidInputError(
                f"the box goes from {self.x0:.0%} to {self.x1:.0%} across and {self.y0:.0%} to {self.y1:.0%} down; "
                "its left edge must lie left of its right one, its top above its bottom, all within the image."
            )

    @classmethod
    def from_pixels(cls, x0: float, y0: float, x1: float, y1: float, size: tuple[int, int]) -> Box:
        """Make a box from pixels of an image. size: its width and height. Raises `InvalidInputError`."""
        width, height = (whole("size", side, 1) for side in size)
        return cls(x0 / width, y0 / height, x1 / width, y1 / height)

    def pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of an image. size: its width and height. At least 1 px each way."""
        (x0, x1), (y0, y1) = (
            _span(low, high, side)
            for low, high, side in ((self.x0, self.x1, size[0]), (self.y0, self.y1, size[1]))
        )
        return x0, y0, x1, y1

    @property
    def area(self) -> float:
        """Fraction of the image, in (0, 1]."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


@dataclass(frozen=True, eq=False)
class Region:
    """A part of an image, cut out. image: square, RGB, padded with the background colour. box: where it was.

    area: fraction of the whole image, in (0, 1]. painted: whether it comes from a mask; `box` then bounds the mask.
    """

    image: Image.Image = field(repr=False)
    box: Box
    area: float
    painted: bool = False


@dataclass(frozen=True)
class Cell:
    """One field of a grid. box: the field. patch: the wider box that was encoded.

    nearest: position of the training image that its patch is closest to, or -1 where the patch shows nothing.
    name: the creator, source, licence or style of that image, or "".
    """

    box: Box
    patch: Box
    nearest: int
    similarity: float
    name: str


@dataclass(frozen=True)
class NameShare:
    """One name in a grid. cells: those closest to an image of it. share: their fraction of all that are not blank.

    training_share: of all training images, what a name would have by chance.
    """

    name: str
    cells: int
    share: float
    training_share: float


@dataclass(frozen=True)
class Grid:
    """A query cut into cells, row by row from the top left. parts: the names by number of cells, largest first.

    captions: of each cell's nearest training image.
    """

    by: GroupBy
    rows: int
    columns: int
    cells: tuple[Cell, ...]
    parts: tuple[NameShare, ...]
    captions: tuple[str, ...]

    @property
    def blank(self) -> int:
        """Number of cells that show only background."""
        return sum(cell.nearest < 0 for cell in self.cells)


def boxed(image: Image.Image, box: Box) -> Region:
    """Cut a box out of an image and pad it to a square, so that no encoder squashes or crops it.

    Raises `InvalidInputError` where it is smaller than `SMALLEST_SIDE` pixels.
    """
    _check_size(box.pixels(image.size))
    return Region(
        _square(image.convert("RGB").crop(box.pixels(image.size)), border_colour(image)), box, box.area
    )


def painted(image: Image.Image, mask: ArrayLike | Image.Image) -> Region:
    """Cut out the bounding box of a painted mask, with background colour where nothing is painted.

    mask: (height, width) numbers or booleans, or a grey image, painted where above 0; another size than the image's is
    brought to it. Raises `InvalidInputError` where nothing is painted, or too little.
    """
    where = _as_mask(mask, image.size)
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    if not rows.size:
        raise InvalidInputError("nothing is painted; paint over the part that you mean, or give a box.")
    edges = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    _check_size(edges)
    ground = border_colour(image)
    pixels = np.where(where[..., None], np.asarray(image.convert("RGB")), np.array(ground, np.uint8))
    return Region(
        _square(Image.fromarray(pixels.astype(np.uint8)).crop(edges), ground),
        Box.from_pixels(*edges, image.size),
        float(where.mean()),
        True,
    )


def outlined(image: Image.Image, box: Box, side: int = 512) -> Image.Image:
    """The image with its longer side scaled to `side` px, dimmed outside of the box, which is outlined."""
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    large = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    edges = box.pixels(size)
    shown = Image.blend(large, Image.new("RGB", size, (60, 66, 80)), 0.6)
    shown.paste(large.crop(edges), edges[:2])
    left, top, right, bottom = edges
    draw = ImageDraw.Draw(shown)
    for colour, width in (("white", 5), ((29, 78, 216), 3)):
        draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=width)
    return shown


def attribute_region(
    attributor: Attributor, region: Region, top: int = 100, made_by: MadeBy = MadeBy.UNKNOWN
) -> Attribution:
    """Attribute a region as if it were an image of its own. Raises what `Attributor.attribute` raises.

    made_by: of the whole image.
    """
    return attributor.attribute(region.image, top, made_by=made_by)


def grid(
    attributor: Attributor, image: Image.Image, by: GroupBy | str = GroupBy.CREATOR, cells: int = 4
) -> Grid:
    """Cut an image into cells x cells fields, and find the closest training image of each.

    Each field is looked at with what surrounds it, `WIDENED` times as wide; all are encoded in one go.

    Args:
        attributor: Encoder, mappers and index.
        image: The query.
        by: "creator", "source", "licence" or "style".
        cells: Fields along each side, 1 to `MOST_CELLS`.

    Raises:
        InvalidInputError: `by` or `cells` is none of these, or the image too small to be cut so often.
    """
    count = whole("cells", cells, 1, MOST_CELLS)
    try:
        column = GroupBy(by)
    except ValueError as error:
        raise InvalidInputError(f"by is {by!r}, expected one of {', '.join(map(str, GroupBy))}.") from error
    if min(image.size) < count:
        raise InvalidImageError(
            f"the image has {image.width} x {image.height} pixels, too few for {count} x {count} "
            "fields; ask for fewer."
        )
    boxes = [
        Box(c / count, r / count, (c + 1) / count, (r + 1) / count)
        for r in range(count)
        for c in range(count)
    ]
    patches = [_widened(box) for box in boxes]
    ground, rgb = border_colour(image), image.convert("RGB")
    cut = [rgb.crop(patch.pixels(image.size)) for patch in patches]
    # The field itself decides whether there is something to see, not what surrounds it.
    shows = [k for k, box in enumerate(boxes) if not _is_blank(rgb.crop(box.pixels(image.size)), ground)]
    nearest = np.full(len(boxes), -1, dtype=np.int64)
    similarity = np.zeros(len(boxes), dtype=np.float32)
    collection = attributor.collection
    if shows:
        features = attributor.encoder.encode([_square(cut[k], ground) for k in shows])
        hits = collection.index.nearest(collection.mappers.map_query(features), 1)
        nearest[shows], similarity[shows] = hits.ids[:, 0], hits.similarity[:, 0]
    credits = {int(i): collection.corpus.credit(int(i)) for i in nearest if i >= 0}
    of_work = collection.corpus.credited(str(column))
    names = [
        (of_work.get(credits[int(i)].work, getattr(credits[int(i)], str(column))) or UNKNOWN)
        if i >= 0
        else ""
        for i in nearest
    ]
    fields = tuple(
        Cell(box, patch, int(i), float(s), name)
        for box, patch, i, s, name in zip(boxes, patches, nearest, similarity, names, strict=True)
    )
    captions = tuple(credits[int(i)].caption or credits[int(i)].id if i >= 0 else "" for i in nearest)
    images = collection.corpus.counts(str(column))
    parts = [
        NameShare(
            name,
            n,
            n / len(shows),
            images["" if name == UNKNOWN and "" in images else name] / len(collection.corpus),
        )
        for name, n in Counter(filter(None, names)).items()
    ]
    return Grid(
        column, count, count, fields, tuple(sorted(parts, key=lambda p: (-p.cells, p.name))), captions
    )


def _span(low: float, high: float, side: int) -> tuple[int, int]:
    """Both ends rounded to whole pixels within the side, at least one pixel apart."""
    start = min(round(low * side), side - 1)
    return start, max(round(high * side), start + 1)


def _check_size(edges: tuple[int, int, int, int]) -> None:
    width, height = edges[2] - edges[0], edges[3] - edges[1]
    if min(width, height) < SMALLEST_SIDE:
        raise InvalidInputError(
            f"the region is {width} x {height} pixels, at least {SMALLEST_SIDE} x {SMALLEST_SIDE} "
            "are needed to see anything; make it larger."
        )


def _square(image: Image.Image, ground: tuple[int, int, int]) -> Image.Image:
    side = max(image.size)
    if image.size == (side, side):
        return image
    canvas = Image.new("RGB", (side, side), ground)
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def _widened(box: Box) -> Box:
    """The box widened by `WIDENED` around its centre; at the image's edge it is moved inwards."""
    edges = []
    for low, high in ((box.x0, box.x1), (box.y0, box.y1)):
        width = min((high - low) * WIDENED, 1.0)
        start = min(max((low + high - width) / 2, 0.0), 1.0 - width)
        edges.append((start, min(start + width, 1.0)))
    return Box(edges[0][0], edges[1][0], edges[0][1], edges[1][1])


def _is_blank(image: Image.Image, ground: tuple[int, int, int]) -> bool:
    off = np.asarray(image, dtype=np.float32) - np.array(ground, np.float32)
    return bool(np.sqrt(np.square(off).mean()) < _BLANK)


def _as_mask(mask: ArrayLike | Image.Image, size: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(mask, Image.Image):
        mask = np.asarray(mask.convert("L"))
    values = np.asarray(mask)
    if values.ndim != 2 or values.dtype.kind not in "biuf" or 0 in values.shape:
        raise InvalidInputError(
            f"a mask has rows and columns of numbers, given shape {values.shape} of {values.dtype}."
        )
    where = values > 0
    if where.shape[::-1] != size:
        where = np.asarray(Image.fromarray(where).resize(size, Image.Resampling.NEAREST))
    return where
