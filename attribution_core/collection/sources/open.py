"""Open whatever holds the images of a new collection, told by its name."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from attribution_core.collection.sources.item import Columns, Source
from attribution_core.collection.sources.local import FolderSource, ParquetSource
from attribution_core.collection.sources.streams import DatasetSource, TarSource
from attribution_core.errors import InvalidInputError

DATASETS = "datasets:"
"""What the name of a Hugging Face data set may begin with, and must if it holds no slash or is a local folder."""
_TAR = re.compile(r"\.(tar|tgz|tar\.(gz|bz2|xz))$", re.IGNORECASE)
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_BRACES = re.compile(r"\{([^{}]*)\}")


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
