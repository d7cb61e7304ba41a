"""Opens whatever holds the images of a new collection, recognised by its name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from attribution_core.collection.sources.archive import ZIP, ZipSource
from attribution_core.collection.sources.dataset import DatasetSource
from attribution_core.collection.sources.item import Source
from attribution_core.collection.sources.local import FolderSource
from attribution_core.collection.sources.options import ReadAs, SourceOptions
from attribution_core.collection.sources.parquet import ParquetSource
from attribution_core.collection.sources.survey import PARQUET, TAR, Survey
from attribution_core.collection.sources.tar import TarSource
from attribution_core.common.folders import is_litter
from attribution_core.errors import InvalidInputError

DATASETS = "datasets:"
"""Optional start of a Hugging Face data set's name; required if the name has no slash or is a local folder."""
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_BRACES = re.compile(r"\{([^{}]*)\}")


def open_source(images: Path | str, options: SourceOptions | None = None, out: Path | None = None) -> Source:
    """Open a folder, a ZIP file, Parquet files, WebDataset tar shards or a Hugging Face data set.

    images: a folder; a file; a pattern of files such as "shards/{00000..00031}.tar" or "parts/*.parquet"; or a name
    such as "user/name" or "datasets:name". out: the collection that is being built, whose files are not read. Raises
    `InvalidInputError` for anything else, and for a source without images.
    """
    text, options = str(images), options or SourceOptions()
    if text.startswith("~"):  # the shell does not expand quoted patterns
        text = os.path.expanduser(text)  # noqa: PTH111  # a Path would split the braces of a pattern
    kind = None if options.read_as is None else ReadAs(options.read_as)
    if text.startswith(DATASETS):
        return DatasetSource(text.removeprefix(DATASETS), options)
    path = Path(text)
    if _is(path, "dir"):
        survey = Survey.of(path, options, out)
        chosen = survey.choose(kind)
        unread = survey.unread(chosen)
        files = [path / name for name in survey.kinds[chosen]]
        if chosen == ReadAs.FOLDER:
            folder = FolderSource(survey, survey.kinds[chosen], options.columns)
            folder.check()
            folder.unread = [*folder.unread, *unread]
            return folder
        return _files_source(chosen, files, path, path.resolve().name, options, unread)
    if kind is None and path.suffix.lower() == ZIP and _is(path, "file"):
        return ZipSource(path)
    files = _files(text, out)
    if not files and _HUB.fullmatch(text) and not _is(path.parent, "there") and not path.suffix:
        return DatasetSource(text, options)
    if files and kind is None:
        endings = {ReadAs.TAR: TAR, ReadAs.PARQUET: PARQUET}
        kind = next((k for k, end in endings.items() if all(end.search(f.name) for f in files)), None)
    if files and kind in (ReadAs.TAR, ReadAs.PARQUET):
        root = _fixed(text)[0]  # so that ids stay the same when files are added
        title = _stem(files[0].name) if len(files) == 1 else files[0].resolve().parent.name
        return _files_source(kind, files, root, title, options)
    raise InvalidInputError(
        f"'{text}' is neither a folder nor a ZIP file, Parquet files, tar shards or a data set; give a folder "
        "of images (PNG, JPEG, WebP, GIF, BMP, TIFF), a .zip file, .parquet files, .tar files, or the name of a "
        "Hugging Face data set (user/name, datasets:name)."
    )


def _files_source(
    kind: ReadAs,
    files: Sequence[Path],
    root: Path,
    title: str,
    options: SourceOptions,
    unread: Sequence[tuple[str, str]] = (),
) -> Source:
    """Open several files as one source; ids name them by their paths in `root`, even if there is only one."""
    names = [_stem(f.relative_to(root).as_posix()) for f in files]
    if kind == ReadAs.TAR:
        return TarSource(files, title, names, options.columns, unread)
    return ParquetSource(files, title, names, options, unread)


def _stem(name: str) -> str:
    return PARQUET.sub("", TAR.sub("", name))


def _is(path: Path, what: str) -> bool:
    """Whether a path is a "dir", a "file", or "there"; names that are too long or hold a NUL are none of these."""
    try:
        return path.is_dir() if what == "dir" else path.is_file() if what == "file" else path.exists()
    except (OSError, ValueError):
        return False


def _fixed(pattern: str) -> tuple[Path, list[str]]:
    """Split a pattern into the existing folder that it starts with, whose name may have brackets, and the rest."""
    known, rest = Path(Path(pattern).anchor), list(Path(pattern).relative_to(Path(pattern).anchor).parts)
    while rest and _is(known / rest[0], "dir"):
        known = known / rest.pop(0)
    return known, rest


def _files(pattern: str, out: Path | None) -> list[Path]:
    """List the files that a path, a glob or a brace pattern names. Raises `InvalidInputError` if one is missing."""
    if _is(Path(pattern), "file"):
        return [Path(pattern)]
    files: list[Path] = []
    names = expand_braces(pattern)
    for name in names:
        if _is(Path(name), "file"):
            files.append(Path(name))
        elif glob.has_magic(name):
            files += [p for p in _matches(name) if not _inside(p, out)]
        elif len(names) > 1:
            raise InvalidInputError(f"'{name}' is not there, which '{pattern}' names; check the pattern.")
    return list(dict.fromkeys(files))


def _matches(pattern: str) -> list[Path]:
    known, rest = _fixed(pattern)
    try:
        names = glob.glob(str(Path(glob.escape(str(known)), *rest)), recursive=True)  # noqa: PTH207
    except (OSError, ValueError, re.error):
        return []
    return [p for p in map(Path, sorted(names)) if _is(p, "file") and not is_litter(p.name)]


def _inside(path: Path, out: Path | None) -> bool:
    return out is not None and path.resolve().is_relative_to(out.resolve())


def expand_braces(pattern: str) -> list[str]:
    """Expand "{00..11}" and "{a,b}" in a pattern, in order; any other text is returned as it is."""
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
