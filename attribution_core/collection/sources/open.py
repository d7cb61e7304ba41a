"""Open whatever holds the images of a new collection, told by its name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from attribution_core.collection.sources.dataset import DatasetSource
from attribution_core.collection.sources.item import Columns, Source
from attribution_core.collection.sources.local import FolderSource
from attribution_core.collection.sources.parquet import ParquetSource
from attribution_core.collection.sources.survey import PARQUET, TAR, ReadAs, Survey
from attribution_core.collection.sources.tar import TarSource
from attribution_core.common.folders import is_litter
from attribution_core.errors import InvalidInputError, unknown_name

DATASETS = "datasets:"
"""What the name of a Hugging Face data set may begin with, and must if it holds no slash or is a local folder."""
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_BRACES = re.compile(r"\{([^{}]*)\}")


def open_source(
    images: Path | str,
    columns: Columns | None = None,
    *,
    split: str | None = None,
    config: str | None = None,
    image_column: str | None = None,
    read_as: ReadAs | str | None = None,
    id_from_file: bool = False,
    out: Path | None = None,
    metadata: Path | str | None = None,
) -> Source:
    """Open a folder, Parquet files, WebDataset tar shards or a Hugging Face data set.

    images: a folder; a file; a pattern of files such as "shards/{00000..00031}.tar" or "parts/*.parquet"; or a name
    such as "user/name" or "datasets:name". split, config: of a data set. image_column: of a table; default: "image",
    or the first that holds images. read_as: which of the kinds in a folder; default: the one that weighs most.
    id_from_file: the file's name before each id of its rows, where those restart in every file. out: the collection
    that is made, no file of which is a source. metadata: the table beside the images, which is none. Raises
    `InvalidInputError` for what is none of these or has no images, `UnknownNameError` for a kind that is none.
    """
    text, wanted = str(images), columns or Columns()
    if text.startswith("~"):  # quoted patterns pass by the shell
        text = os.path.expanduser(text)  # noqa: PTH111  # a Path would take a pattern's braces apart
    if read_as is not None and read_as not in list(ReadAs):
        raise unknown_name("kind of source", str(read_as), map(str, ReadAs))
    kind = None if read_as is None else ReadAs(read_as)
    if text.startswith(DATASETS):
        name = text.removeprefix(DATASETS)
        return DatasetSource(name, wanted, split, config, image_column, id_from_file)
    path = Path(text)
    if _is(path, "dir"):
        survey = Survey.of(path, out, image_column, None if metadata is None else Path(metadata))
        chosen = survey.choose(kind)
        unread = survey.unread(chosen)
        files = [path / name for name in survey.kinds[chosen]]
        if chosen == ReadAs.FOLDER:
            folder = FolderSource(survey, survey.kinds[chosen], wanted)
            folder.check()
            folder.unread = [*folder.unread, *unread]
            return folder
        return _files_source(
            chosen, files, path, path.resolve().name, wanted, image_column, id_from_file, unread
        )
    files = _files(text, out)
    if not files and _HUB.fullmatch(text) and not _is(path.parent, "there") and not path.suffix:
        return DatasetSource(text, wanted, split, config, image_column, id_from_file)
    if files and kind is None:
        endings = {ReadAs.TAR: TAR, ReadAs.PARQUET: PARQUET}
        kind = next((k for k, end in endings.items() if all(end.search(f.name) for f in files)), None)
    if files and kind in (ReadAs.TAR, ReadAs.PARQUET):
        root = _fixed(text)[0]  # by which files keep their names when others come
        title = _stem(files[0].name) if len(files) == 1 else files[0].resolve().parent.name
        return _files_source(kind, files, root, title, wanted, image_column, id_from_file, ())
    raise InvalidInputError(
        f"'{text}' is neither a folder nor a Parquet file, tar shards or a data set; give a folder "
        "of images (PNG, JPEG, WebP, GIF, BMP, TIFF), .parquet files, .tar files, or the name of a "
        "Hugging Face data set (user/name, datasets:name)."
    )


def _files_source(
    kind: ReadAs,
    files: Sequence[Path],
    root: Path,
    title: str,
    columns: Columns,
    image_column: str | None,
    id_from_file: bool,
    unread: Sequence[tuple[str, str]],
) -> Source:
    """Several files as one source; in ids they are called by their paths in `root`, however many there are."""
    names = [_stem(f.relative_to(root).as_posix()) for f in files]
    if kind == ReadAs.TAR:
        return TarSource(files, title, names, columns, unread)
    return ParquetSource(files, title, names, columns, image_column, id_from_file, unread)


def _stem(name: str) -> str:
    return PARQUET.sub("", TAR.sub("", name))


def _is(path: Path, what: str) -> bool:
    """Whether a path is there, or a folder; what is too long for a name, or holds a NUL, is neither."""
    try:
        return path.is_dir() if what == "dir" else path.is_file() if what == "file" else path.exists()
    except (OSError, ValueError):
        return False


def _fixed(pattern: str) -> tuple[Path, list[str]]:
    """The folders that a pattern begins with, as they are called on the disk, brackets and all; and what follows."""
    known, rest = Path(Path(pattern).anchor), list(Path(pattern).relative_to(Path(pattern).anchor).parts)
    while rest and _is(known / rest[0], "dir"):
        known = known / rest.pop(0)
    return known, rest


def _files(pattern: str, out: Path | None) -> list[Path]:
    """The files that a path, a glob or a brace pattern names. Raises `InvalidInputError` where one is missing."""
    if _is(Path(pattern), "file"):
        return [Path(pattern)]
    found: list[Path] = []
    names = expand_braces(pattern)
    for name in names:
        if _is(Path(name), "file"):
            found.append(Path(name))
        elif glob.has_magic(name):
            found += [p for p in _matches(name) if not _inside(p, out)]
        elif len(names) > 1:
            raise InvalidInputError(f"'{name}' is not there, which '{pattern}' names; check the pattern.")
    return list(dict.fromkeys(found))


def _matches(pattern: str) -> list[Path]:
    known, rest = _fixed(pattern)
    try:
        found = glob.glob(str(Path(glob.escape(str(known)), *rest)), recursive=True)  # noqa: PTH207
    except (OSError, ValueError, re.error):
        return []
    return [p for p in map(Path, sorted(found)) if _is(p, "file") and not is_litter(p.name)]


def _inside(path: Path, out: Path | None) -> bool:
    return out is not None and path.resolve().is_relative_to(out.resolve())


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
