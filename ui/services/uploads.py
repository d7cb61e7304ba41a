"""Files that visitors uploaded, told from all others of this machine, and whose they are."""

from __future__ import annotations

import contextlib
import secrets
import stat
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attribution_core.common.images import (
    Limits,
    image_sides,
    jpeg_bytes,
    kind_of,
    png_bytes,
    read_image,
    read_recipe,
)
from attribution_core.credentials.read import Credentials, read_credentials
from attribution_core.errors import AttributionError, InvalidInputError

META = {"_type": "gradio.FileData"}
LARGEST = 2048
"""Longer side in px at which uploads are kept: no encoder reads more than 400, and regions are looked at in eighths."""
_LONGEST_NAME = 80  # characters
_LEAST = (
    16_000  # bytes that a file counts for, as a small one and its folder take room on the disk and here, too
)


def uploaded(path: str | Path, folder: Path | str) -> Path:
    """Where an uploaded file lies: a regular file inside the folder of uploads, links followed.

    Callers name their files themselves, so anybody could have any file of this machine read. Raises
    `InvalidInputError` for all others, in the same words whether there is such a file or not.
    """
    try:
        file = Path(path).resolve()
        if Path(folder).resolve() in file.parents and stat.S_ISREG(file.lstat().st_mode):
            return file
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # no such file, a null character in its name, links in a circle
        pass
    raise InvalidInputError("that is no uploaded file; upload the images first.")


@dataclass
class _Upload:
    """visit: that used the file first; None before. at: when it came, in seconds. credentials: as in `Kept`."""

    size: int
    at: float
    visit: str | None = None
    credentials: Credentials | None = None


@dataclass(frozen=True)
class Kept:
    """An uploaded file as it is kept. credentials: of the file that came, where it is kept in another encoding."""

    data: bytes
    name: str
    credentials: Credentials | None = None


class Uploads:
    """The files that were uploaded to one app, each in a folder whose name nobody can guess.

    A file belongs to the visit that uses it first; before, whoever was told its path uploaded it.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """folder: of this app alone; made if it is missing. most_bytes: kept of a visit, and ten times that in all."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder, self._most = folder.resolve(), most_bytes
        self._known: dict[Path, _Upload] = {}
        self._lock = threading.Lock()

    def keep(self, kept: Kept) -> Path:
        """Store a file; where there are too many, the oldest of who has the most go."""
        data = kept.data
        place = self.folder / secrets.token_hex(16)
        place.mkdir(mode=0o700)
        file = place / (kept.name[-_LONGEST_NAME:] or "image")
        file.write_bytes(data)
        with self._lock:
            self._known[file] = _Upload(
                max(len(data), _LEAST), time.monotonic(), credentials=kept.credentials
            )
        self._make_room(list(self._known), 10 * self._most)
        return file

    def file(self, given: Any, visit: str) -> Path:
        """The file that a caller means: the one check that nothing passes by.

        given: what came for a file, of any type. visit: the caller's; "" where that is not known, which owns nothing
        and may use what nobody else does. Raises `InvalidInputError` for all but a file that was uploaded here, and
        not by another visit.
        """
        if (
            not isinstance(given, Mapping)
            or given.get("meta") != META
            or not isinstance(given.get("path"), str)
        ):
            raise InvalidInputError("that is no uploaded file; upload the images first.")
        file = uploaded(given["path"], self.folder)
        with self._lock:
            known = self._known.get(file)
            if known is None or known.visit not in (None, visit):
                raise InvalidInputError("that is no uploaded file; upload the images first.")
            if visit and known.visit is None:
                known.visit = visit
            mine = [path for path, one in self._known.items() if visit and one.visit == visit]
        self._make_room([path for path in mine if path != file], self._most)
        return file

    def credentials(self, file: Path) -> Credentials | None:
        """What a file said of itself as it came; None where it is kept as it came."""
        with self._lock:
            known = self._known.get(file)
        return None if known is None else known.credentials

    def leave(self, visit: str) -> None:
        """Delete what a visit uploaded."""
        self._delete([path for path, one in list(self._known.items()) if one.visit == visit])

    def sweep(self, seconds: float) -> None:
        """Delete what was uploaded so long ago, and forget what was deleted by those who read it."""
        old = time.monotonic() - seconds
        gone = [path for path, one in list(self._known.items()) if one.at < old or not path.exists()]
        self._delete(gone)

    def _make_room(self, paths: list[Path], most: int) -> None:
        """Delete the oldest of whose are the most of these, until the others are small enough together.

        So nobody's go for what somebody else sends without end; what no visit has used is one visit's.
        """
        old: list[Path] = []
        with self._lock:
            held: dict[str | None, deque[tuple[Path, int]]] = defaultdict(deque)
            for path in paths:
                if one := self._known.get(path):
                    held[one.visit].append((path, one.size))
            sums = {visit: sum(size for _, size in files) for visit, files in held.items()}
            total = sum(sums.values())
            while total > most:
                visit = max(sums, key=lambda one: sums[one])
                path, size = held[visit].popleft()
                old.append(path)
                sums[visit] -= size
                total -= size
        self._delete(old)

    def _delete(self, paths: list[Path]) -> None:
        for path in paths:
            with self._lock:
                self._known.pop(path, None)
            delete(path)


def delete(path: Path) -> None:
    """Delete an uploaded file, and its folder, which is its own."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another file is in it, or it is gone already
        path.parent.rmdir()


def as_kept(data: bytes, name: str, limits: Limits, trust: str = "", largest: int = LARGEST) -> Kept:
    """An uploaded file as it is kept: a large image scaled down, with its recipe and metadata, others as they are.

    trust: as in `read_credentials`. What cannot be read is kept for a moment, too: whoever reads it says what is wrong.
    """
    try:
        if max(image_sides(data)) <= largest:
            return Kept(data, name)
        image = read_image(data, limits, largest)
        credentials = read_credentials(data, trust, limits)
        xmp = credentials.kept_xmp
        credentials = replace(credentials, xmp=xmp)
        if kind_of(data) != "jpeg":
            kept = png_bytes(image, read_recipe(data), xmp)
            if len(kept) <= limits.file_bytes:
                return Kept(kept, f"{Path(name).stem}.png", credentials)
        return Kept(jpeg_bytes(image, xmp), f"{Path(name).stem}.jpg", credentials)
    except AttributionError:
        return Kept(data, name)
