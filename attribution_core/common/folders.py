"""Lists the images in a folder, and explains why other files were skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from attribution_core.common.heif import BRANDS
from attribution_core.common.images import SUFFIXES
from attribution_core.errors import InvalidInputError

_LITTER = frozenset(
    {"@eadir", "__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "#recycle", "lost+found"}
)
_HEAD = 16  # bytes that identify an image
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_BRANDS = (b"avif", b"avis", *BRANDS)


@dataclass
class Listing:
    """Files of a folder and its sub-folders, by relative path, sorted.

    files: regular files that can be opened. problems: (path, reason) of what cannot be read. litter: (path, reason) of
    hidden files and leftovers of other programs; a folder is listed once, not its content.
    """

    files: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    litter: list[tuple[str, str]] = field(default_factory=list)


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden or a leftover of another program. name: a path or its last part."""
    return any(
        part.startswith(".") or part.lower() in _LITTER for part in PurePosixPath(name).parts if part != ".."
    )


def list_files(folder: Path, without: Path | None = None) -> Listing:
    """List a folder recursively, following links but visiting no folder twice.

    without: a sub-folder to skip. Raises `InvalidInputError` if the folder itself cannot be read.
    """
    listing, links, seen = Listing(), [], set()
    if without is not None:
        seen.add(without.resolve())

    def walk(current: Path) -> None:
        seen.add(current.resolve())
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            if current == folder:
                raise InvalidInputError(f"'{folder}' cannot be read ({error.strerror}).") from error
            listing.problems.append((f"{_path(current)}/", f"the folder cannot be read ({error.strerror})"))
            return
        for entry in entries:
            path = current / entry.name
            if is_litter(entry.name):
                listing.litter.append((_path(path), "hidden, or left behind by another program"))
            elif os.path.isdir(path):  # noqa: PTH112 - pathlib fails for links that form a loop or are inaccessible
                if entry.is_symlink():
                    links.append(path)
                elif path.resolve() not in seen:
                    walk(path)
            elif os.path.isfile(path):  # noqa: PTH113
                listing.files.append(_path(path))
            elif entry.is_symlink():
                listing.problems.append((_path(path), "a broken link"))
            else:
                listing.problems.append((_path(path), "not a regular file"))

    def _path(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    walk(folder)
    for link in links:  # last, so that real folders keep their own names; grows as linked folders are walked
        if link.resolve() in seen:
            listing.problems.append((f"{_path(link)}/", "a link to a folder that is read under another name"))
        else:
            walk(link)
    listing.files.sort()
    return listing


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its suffix or else by its first bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return (
        head.startswith(_MAGIC)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS)
    )


def image_files(paths: list[Path]) -> Iterator[tuple[str, Path]]:
    """Yield (title, file) for each path that is a file, and for all images in each that is a folder, at any depth.

    title: the path within its folder, or the file name; if two files would have the same title, the full path.
    Raises `InvalidInputError` for a folder without images.
    """
    files: list[tuple[str, Path]] = []
    for path in paths:
        if not path.is_dir():
            files.append((path.name, path))
            continue
        names = [name for name in list_files(path).files if is_image(path / name)]
        if not names:
            raise InvalidInputError(
                f"there is no image in '{path}'; give a folder with PNG, JPEG, WebP, GIF, BMP or TIFF files."
            )
        files += [(name, path / name) for name in names]
    titles = [title for title, _ in files]
    for title, path in files:
        yield (title if titles.count(title) == 1 else path.as_posix()), path
