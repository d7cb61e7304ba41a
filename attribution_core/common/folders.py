"""What lies in a folder: its images, and why each other file is none."""

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
_HEAD = 16  # bytes by which an image is known
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_BRANDS = (b"avif", b"avis", *BRANDS)


@dataclass
class Listing:
    """Files of a folder and its sub-folders, by their paths in it, in order.

    files: regular files that can be opened. problems: what cannot be reached, with the reason. litter: what other
    programs left behind, and hidden files; of a folder its name alone.
    """

    files: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    litter: list[tuple[str, str]] = field(default_factory=list)


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden, or a copy that another program left behind. name: a path or its last part."""
    return any(
        part.startswith(".") or part.lower() in _LITTER for part in PurePosixPath(name).parts if part != ".."
    )


def list_files(folder: Path, without: Path | None = None) -> Listing:
    """Walk through a folder, through linked folders too, but through none twice.

    without: a folder in it to pass over. Raises `InvalidInputError` where the folder itself cannot be read.
    """
    found, links, seen = Listing(), [], set()
    if without is not None:
        seen.add(without.resolve())

    def walk(place: Path) -> None:
        seen.add(place.resolve())
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            if place == folder:
                raise InvalidInputError(f"'{folder}' cannot be read ({error.strerror}).") from error
            found.problems.append((f"{_path(place)}/", f"the folder cannot be read ({error.strerror})"))
            return
        for entry in entries:
            path = place / entry.name
            if is_litter(entry.name):
                found.litter.append((_path(path), "hidden, or left behind by another program"))
            elif os.path.isdir(path):  # noqa: PTH112 - others fail where a link leads to itself or is closed
                if entry.is_symlink():
                    links.append(path)
                elif path.resolve() not in seen:
                    walk(path)
            elif os.path.isfile(path):  # noqa: PTH113
                found.files.append(_path(path))
            elif entry.is_symlink():
                found.problems.append((_path(path), "a link to a file that is not there"))
            else:
                found.problems.append((_path(path), "no regular file"))

    def _path(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    walk(folder)
    for link in links:  # grows while linked folders are walked through; real folders keep their own names
        if link.resolve() in seen:
            found.problems.append((f"{_path(link)}/", "a link to a folder that is read under another name"))
        else:
            walk(link)
    found.files.sort()
    return found


def is_image(path: Path) -> bool:
    """Whether a file is an image by its ending, or where that says nothing, by its first bytes."""
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
    """(title, file) of files as they are given, and of all images in folders, at any depth.

    title: the path in its folder, or the file's name; where two files would have one title, the path as it was given.
    Raises `InvalidInputError` for a folder without images.
    """
    found: list[tuple[str, Path]] = []
    for path in paths:
        if not path.is_dir():
            found.append((path.name, path))
            continue
        names = [name for name in list_files(path).files if is_image(path / name)]
        if not names:
            raise InvalidInputError(
                f"there is no image in '{path}'; give a folder with PNG, JPEG, WebP, GIF, BMP or TIFF files."
            )
        found += [(name, path / name) for name in names]
    titles = [title for title, _ in found]
    for title, path in found:
        yield (title if titles.count(title) == 1 else path.as_posix()), path
