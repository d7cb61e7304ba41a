"""The training set that is attributed over: images with captions and credits, in Parquet files.

One row per image; Hugging Face `datasets` opens the files directly, with decoded images.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from attribution_core.common.cards import CARD_NAME, read_card, verify_files
from attribution_core.common.files import atomic_path
from attribution_core.common.images import kind_of
from attribution_core.common.json_text import read_json
from attribution_core.corpus.credit import Credit, creator_name
from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_COLUMNS = (
    "id",
    "caption",
    "short_caption",
    "concept",
    "concept_label",
    "style",
    "group",
    "creator",
    "source",
    "source_version",
    "licence",
    "link",
    "part",
    "planted",
    "exemplar_set",
    "held_out",
    "opted_out",
)
SIZE_COLUMNS = ("width", "height")
DUPLICATES = "duplicates.json"
PICTURES = "images"
"""Beside the Parquet files, where near-duplicates were looked for: {"sets": lists of ids that are one work}."""
ICON_SET_PACKAGE = "@iconify-json/"
"""Begins the name of a source that is an icon set, as Iconify packs them."""
_WORD = re.compile(r"[^\W\d_]{3,}")
_FUNCTION_WORDS = frozenset(
    """about above across after against all along among and any around another are before behind below
beneath beside between both but can for from has have having her his into inside its like made near next not off onto
other our out outside over own she some than that the their them then there these they this through two under upon very
was were what when where which while who with within without your""".split()
)
"""Words that depict nothing."""
_CREDIT = (
    *("id", "caption", "short_caption", "concept", "style", "creator", "source", "licence", "link"),
    "opted_out",
)


class Corpus:
    """A read-only list of images with credits; an index's ids are positions in it.

    Images stay encoded (about 2 kB each at 128 px) and are decoded on access. A row may also name a file in the folder
    `images` next to the Parquet files, or hold no picture at all.
    """

    def __init__(self, table: pa.Table, path: Path) -> None:
        """table: columns "image", `TEXT_COLUMNS` and `SIZE_COLUMNS`; all but "image" may be missing."""
        if "image" not in table.column_names:
            raise CheckpointError(
                f"'{path}' has no column 'image'; expected Parquet files written by "
                "Corpus.write or with a Hugging Face Image column of that name."
            )
        self.path = path
        self._table = table
        self._counts: dict[str, Counter[Any]] = {}
        self._by_work: dict[str, Mapping[str, str]] = {}
        self._bytes = table["image"].combine_chunks()

    @classmethod
    def open(cls, directory: Path | str, split: str = "train") -> Corpus:
        """Open all `directory`/`split`-*.parquet files, ordered by name.

        Raises `CheckpointError` if there is none, or one cannot be read or differs from the folder's card.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder = Path(directory)
        files = sorted(folder.glob(f"{split}-*.parquet"))
        if not files:
            raise CheckpointError(
                f"no '{split}-*.parquet' in '{folder}'; expected the corpus folder of a "
                "collection, such as checkpoints/pocket/corpus."
            )
        if (folder / CARD_NAME).is_file():
            verify_files(folder, lambda name: name.startswith(f"{split}-") or name == DUPLICATES)
        try:
            tables = [pq.read_table(file) for file in files]
            table = pa.concat_tables(tables, promote_options="default")
        except (pa.ArrowInvalid, OSError) as error:
            raise CheckpointError(
                f"'{folder}' holds a Parquet file that cannot be read ({error}); fetch or build it again."
            ) from error
        return cls(table, folder)

    @staticmethod
    def write(path: Path | str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows as one Parquet file, atomically.

        rows: each with "image": {"bytes": encoded image, "path": str} and any of the other columns; missing text
        becomes "", missing sizes 0. "image" is None if there is no picture; its bytes are None if the path is a file
        in the folder `images`. Raises `InvalidInputError` for an unknown column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        known = {*TEXT_COLUMNS, *SIZE_COLUMNS, "image"}
        items = list(rows)
        for row in items:
            if unknown := set(row) - known:
                raise InvalidInputError(f"unknown columns {sorted(unknown)}; a corpus has {sorted(known)}.")
        fields = [
            pa.field("id", pa.string()),
            pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ]
        fields += [pa.field(name, pa.string()) for name in TEXT_COLUMNS if name != "id"]
        fields += [pa.field(name, pa.int32()) for name in SIZE_COLUMNS]
        features = {
            f.name: {"_type": "Image"}
            if f.name == "image"
            else {"dtype": "int32" if f.name in SIZE_COLUMNS else "string", "_type": "Value"}
            for f in fields
        }
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        columns = {
            f.name: [row.get(f.name, 0 if f.name in SIZE_COLUMNS else "") for row in items] for f in fields
        }
        table = pa.table(columns, schema=pa.schema(fields, metadata=metadata))
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=1000)

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self._table.num_rows)

    def column(self, name: str) -> list[Any]:
        """Return all values of a column, in order; a missing column is all "" or 0."""
        if name in self._table.column_names:
            empty = 0 if name in SIZE_COLUMNS else ""
            return [empty if value is None else value for value in self._table[name].to_pylist()]
        if name not in (*TEXT_COLUMNS, *SIZE_COLUMNS):
            raise InvalidInputError(
                f"unknown column '{name}'; a corpus has {[*TEXT_COLUMNS, *SIZE_COLUMNS]}."
            )
        return [0 if name in SIZE_COLUMNS else ""] * len(self)

    def counts(self, name: str) -> Counter[Any]:
        """Count the images credited to each value of a column; near-duplicates use their work's value (cached).

        Raises `InvalidInputError` for an unknown column.
        """
        if name not in self._counts:
            values, by_work = self.column(name), self.credited(name) if name in TEXT_COLUMNS else {}
            if by_work:
                values = [
                    by_work.get(self.works.get(image, ""), value)
                    for image, value in zip(self.column("id"), values, strict=True)
                ]
            self._counts[name] = Counter(values)
        return self._counts[name]

    def credited(self, name: str) -> Mapping[str, str]:
        """Map each work to its images' value in a column, so that near-duplicates are credited as one.

        If their values differ, all are named: "Ada or Ben". Keys are the works of `works`.
        """
        if name not in self._by_work:
            values_of: dict[str, set[str]] = {}
            if self.works:
                for image, value in zip(self.column("id"), self.column(name), strict=True):
                    if work := self.works.get(image):
                        values_of.setdefault(work, set()).update([value] if value else [])
            self._by_work[name] = {work: " or ".join(sorted(values)) for work, values in values_of.items()}
        return self._by_work[name]

    def credit(self, position: int) -> Credit:
        """Return the credit of the image at `position`. Raises `InvalidInputError` if it is out of range."""
        return self.credits([position])[0]

    def credits(self, positions: Sequence[int]) -> tuple[Credit, ...]:
        """Return the credits of several images, in order. Raises `InvalidInputError` for a position out of range."""
        for position in positions:
            self._check(position)
        names = [n for n in (*_CREDIT, *SIZE_COLUMNS) if n in self._table.column_names]
        rows = self._table.select(names).take(np.asarray(positions, dtype=np.int64)).to_pylist()
        works, sets = self.works, self.icon_sets
        return tuple(
            Credit(
                **{name: value for name, value in row.items() if value is not None},
                work=works.get(str(row.get("id")), ""),
                icon_set=bool(row.get("creator")) and sets.get(row.get("source") or "") == row.get("creator"),
            )
            for row in rows
        )

    @cached_property
    def icon_sets(self) -> Mapping[str, str]:
        """Map each source that is an icon set to its publisher, as the corpus's card names it; empty without a card."""
        if not (self.path / CARD_NAME).is_file():
            return {}
        sources = read_card(self.path).get("sources", [])
        return {
            str(source["package"]): str(source["creator"])
            for source in (sources if isinstance(sources, list) else [])
            if isinstance(source, dict)
            and str(source.get("package", "")).startswith(ICON_SET_PACKAGE)
            and source.get("creator")
        }

    def maker(self, creator: str) -> str:
        """Name a creator, or several as in `credited` ("Ada or Google"), with icon sets called so and last."""
        return creator_name(creator, self.icon_sets.values())

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(
            word
            for name in ("caption", "short_caption")
            for caption in self.column(name)
            for word in _WORD.findall(caption.casefold())
        )

    def unsaid(self, text: str) -> tuple[str, ...]:
        """Return the words of a text, in order, that occur in no caption; empty if there are no captions.

        A plural in s matches its singular and vice versa. Function words are ignored.
        """
        if not self._vocabulary:
            return ()
        words = dict.fromkeys(_WORD.findall(text.casefold()))
        return tuple(
            word
            for word in words
            if word not in _FUNCTION_WORDS
            and not {word, f"{word}s", word.removesuffix("s")} & self._vocabulary
        )

    @cached_property
    def works(self) -> Mapping[str, str]:
        """Map each image with near-duplicates to its work: the id of the first image of its group.

        Empty if near-duplicates were not searched for. Raises `CheckpointError` if `DUPLICATES` is damaged.
        """
        path = self.path / DUPLICATES
        try:
            sets = read_json(path)["sets"]
            return {str(name): str(members[0]) for members in sets for name in members}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({error}); run 'index' again with another --near-duplicates."
            ) from error

    def has_image(self, position: int) -> bool:
        """Whether the picture at `position` is stored, not only its caption and link."""
        self._check(position)
        stored = self._bytes[position].as_py() or {}
        return bool(stored.get("bytes")) or self._file(stored.get("path")) is not None

    def image_bytes(self, position: int) -> bytes:
        """Return the stored image file at `position` (WebP, PNG, JPEG or GIF). Raises `InvalidImageError`."""
        self._check(position)
        stored = self._bytes[position].as_py() or {}
        data, file = stored.get("bytes"), self._file(stored.get("path"))
        if not data and file is not None:
            data = file.read_bytes()
            if not kind_of(data):
                raise InvalidImageError(f"'{file}' is not a PNG, JPEG, WebP or GIF image.")
        if not data:
            raise InvalidImageError(
                f"image {position} of '{self.path}' has no bytes in the Parquet file and no file in the folder "
                "'images', so this collection does not hold the picture."
            )
        return bytes(data)

    def _file(self, name: str | None) -> Path | None:
        """A file in the folder `images`; None where it is not there, or not in there."""
        folder = self.path / PICTURES
        if not name or not folder.is_dir():
            return None
        file = (folder / name).resolve()
        return file if file.is_relative_to(folder.resolve()) and file.is_file() else None

    def image(self, position: int) -> Image.Image:
        """Decode the image at `position` to RGB. Raises `InvalidImageError`."""
        data = self.image_bytes(position)
        try:
            return Image.open(io.BytesIO(data)).convert("RGB")
        except (OSError, ValueError) as error:
            raise InvalidImageError(
                f"image {position} of '{self.path}' cannot be decoded ({error}); build the corpus again."
            ) from error

    def _check(self, position: int) -> None:
        if not 0 <= position < len(self):
            raise InvalidInputError(
                f"position {position} is outside the corpus; expected 0 to {len(self) - 1}."
            )
