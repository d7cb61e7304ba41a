"""Where images may come from: folders and Parquet files here, tar shards and data sets in `stream_sources`."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attribution_core.collection.sources.item import Columns, Item, Source, Wanted, take
from attribution_core.collection.sources.streams import DatasetSource, TarSource
from attribution_core.common.images import SUFFIXES
from attribution_core.errors import InvalidInputError

DATASETS = "datasets:"
"""What the name of a Hugging Face data set may begin with, and must if it holds no slash or is a local folder."""
_TAR = re.compile(r"\.(tar|tgz|tar\.(gz|bz2|xz))$", re.IGNORECASE)
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_BRACES = re.compile(r"\{([^{}]*)\}")
_ROWS = 64  # of a Parquet file that are in memory at a time


def open_source(
    images: Path | str,
    columns: Columns | None = None,
    *,
    split: str | None = None,
    config: str | None = None,
    image_column: str | None = None,
) -> Source:
    """Open a folder, Parquet files, WebDataset tar shards or a Hugging Face data set.

    images: a folder; a file; a pattern of files such as "shards/{00000..00031}.tar" or "parts/*.parquet"; or a name
    such as "user/name" or "datasets:name". split, config: of a data set. image_column: of a table; default: "image", or
    the first of a data set's that holds images. Raises `InvalidInputError` for what is none of these or has no images.
    """
    text, wanted = str(images), columns or Columns()
    if text.startswith(DATASETS):
        return DatasetSource(text.removeprefix(DATASETS), wanted, split, config, image_column)
    path = Path(text)
    if path.is_dir():
        parquet = sorted(path.rglob("*.parquet"))
        folder = FolderSource(path)
        if folder.files or not parquet:
            folder.check()
            return folder
        return ParquetSource(parquet, path.name, wanted, image_column)
    files = _files(text)
    if not files and _HUB.fullmatch(text) and not path.parent.exists() and not path.suffix:
        return DatasetSource(text, wanted, split, config, image_column)
    if files and all(_TAR.search(f.name) for f in files):
        return TarSource(
            files,
            _TAR.sub("", files[0].name) if len(files) == 1 else files[0].resolve().parent.name,
            [_TAR.sub("", f.name) for f in files],
            wanted,
        )
    if files and all(f.suffix.lower() == ".parquet" for f in files):
        return ParquetSource(
            files, files[0].stem if len(files) == 1 else files[0].resolve().parent.name, wanted, image_column
        )
    raise InvalidInputError(
        f"'{text}' is neither a folder nor a Parquet file, tar shards or a data set; give a folder "
        "of images (PNG, JPEG, WebP, GIF, BMP, TIFF), .parquet files, .tar files, or the name of a "
        "Hugging Face data set (user/name, datasets:name)."
    )


def _files(pattern: str) -> list[Path]:
    """The files that a path, a glob or a brace pattern names. Raises `InvalidInputError` where one is missing."""
    found: list[Path] = []
    names = expand_braces(pattern)
    for name in names:
        if glob.has_magic(name) and not Path(name).exists():
            found += sorted(Path(p) for p in glob.glob(name, recursive=True) if Path(p).is_file())  # noqa: PTH207
        elif Path(name).is_file():
            found.append(Path(name))
        elif len(names) > 1:
            raise InvalidInputError(f"'{name}' is not there, which '{pattern}' names; check the pattern.")
    return list(dict.fromkeys(found))


def expand_braces(pattern: str) -> list[str]:
    """The names that "{00..11}" and "{a,b}" stand for, in order; any other text stands for itself."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    inner = match.group(1)
    span = re.fullmatch(r"(\d+)\.\.(\d+)", inner)
    if span:
        first, last = span.groups()
        parts: Sequence[str] = [f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]
    elif "," in inner:
        parts = inner.split(",")
    else:
        return [pattern]
    return [
        name
        for part in parts
        for name in expand_braces(pattern[: match.start()] + part + pattern[match.end() :])
    ]


class FolderSource:
    """Image files of a folder and its sub-folders, in the order of their paths, which are their ids."""

    def __init__(self, folder: Path) -> None:
        """Lists the files, and reads none."""
        self.folder, self.title = folder, folder.resolve().name
        self.files = sorted(
            p.relative_to(folder).as_posix()
            for p in folder.rglob("*")
            if p.suffix.lower() in SUFFIXES and p.is_file()
        )
        listed = "\n".join(f"{name} {(folder / name).stat().st_size}" for name in self.files)
        self.mark: Mapping[str, Any] = {
            "folder": str(folder.resolve()),
            "images": len(self.files),
            "files": hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest(),
        }

    def check(self) -> None:
        """Raise `InvalidInputError` where there are none."""
        if not self.files:
            raise InvalidInputError(
                f"'{self.folder}' holds no images; expected files ending in {', '.join(sorted(SUFFIXES))}."
            )

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """One a file; its caption is the file's name, its link the file."""
        for name in self.files:
            if wanted(name):
                stem = Path(name).stem.replace("_", " ").replace("-", " ")
                text = {
                    "caption": stem,
                    "source": self.title,
                    "link": (self.folder / name).resolve().as_uri(),
                }
                yield Item(name, self.folder / name, text, (str(Path(name).with_suffix("")),))

    def total(self, done: int) -> int | None:
        """How many files."""
        return len(self.files)


class ParquetSource:
    """Rows of Parquet files with encoded images, read a few at a time."""

    def __init__(
        self, files: Sequence[Path], title: str, columns: Columns, image_column: str | None = None
    ) -> None:
        """Reads the files' footers. Raises `InvalidInputError` where one is none or lacks a column."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.files, self.title, self._image = list(files), title, image_column or "image"
        self._rows = 0
        self._wanted: list[Mapping[str, str]] = []
        for file in files:
            try:
                names, rows = pq.read_schema(file).names, pq.read_metadata(file).num_rows
            except (pa.ArrowInvalid, OSError) as error:
                raise InvalidInputError(
                    f"'{file}' cannot be read as Parquet ({error}); check the file."
                ) from error
            if self._image not in names:
                raise InvalidInputError(
                    f"'{file}' has no column '{self._image}' of encoded images, but "
                    f"{', '.join(names)}; name the right one with --image-column."
                )
            self._wanted.append(columns.of(names, f"'{file}'") | ({"id": "id"} if "id" in names else {}))
            self._rows += rows
        if not self._rows:
            raise InvalidInputError(f"'{files[0]}' holds no images: it has no rows.")
        listed = "\n".join(f"{f.name} {f.stat().st_size}" for f in files)
        self.mark: Mapping[str, Any] = {
            "parquet": str(files[0].resolve().parent),
            "images": self._rows,
            "image_column": self._image,
            "columns": columns.chosen,
            "files": hashlib.sha256(listed.encode()).hexdigest(),
        }

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """One a row; its id is that of the column "id", else its number, behind the file's name if there are more."""
        import pyarrow.parquet as pq

        for file, columns in zip(self.files, self._wanted, strict=True):
            prefix = "" if len(self.files) == 1 else f"{file.stem}/"
            number = 0
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(batch_size=_ROWS, columns=[self._image, *columns.values()]):
                    for row in batch.to_pylist():
                        name = str(row["id"]) if row.get("id") is not None else f"{prefix}{number}"
                        number += 1
                        if wanted(name):
                            yield _row(name, row[self._image], take(row, columns))

    def total(self, done: int) -> int | None:
        """How many rows."""
        return self._rows


def _row(name: str, image: Any, text: dict[str, str]) -> Item:
    data = image.get("bytes") if isinstance(image, dict) else image
    path = image.get("path") if isinstance(image, dict) else None
    text.pop("id", None)
    names = (Path(path).name,) if path else ()
    if not isinstance(data, bytes) or not data:
        return Item(name, None, text, names, "its row holds no encoded image")
    return Item(name, data, text, names)
