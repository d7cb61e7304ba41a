"""Images in a ZIP file, read one by one and never unpacked to the disk."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from attribution_core.collection.sources.item import SourceItem, Wanted, caption_of_file, names_of_file
from attribution_core.common.cells import file_name
from attribution_core.common.folders import is_litter
from attribution_core.common.images import LIMITS, SUFFIXES
from attribution_core.errors import InvalidInputError

ZIP = ".zip"
_ENTRY = b"PK\x01\x02"  # begins each entry of a ZIP's table of contents
_COUNTED = 1_000_000_000  # bytes; entries of a larger file are counted by Python alone
_BLOCK = 1 << 20
_ENCRYPTED = 0x1  # flag of an entry
_ARCHIVES = (ZIP, ".tar", ".tgz", ".gz", ".7z", ".rar")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class ZipLimits:
    """What a ZIP file may hold. files: entries of any kind. size: bytes of its images, unpacked. file: of one image."""

    files: int = 1_000_000
    size: int = 1_000_000_000_000
    file: int = LIMITS.file_bytes


class ZipSource:
    """The image files of a ZIP file, ordered by their paths, which are their ids."""

    def __init__(self, path: Path, limits: ZipLimits | None = None) -> None:
        """Read the table of contents, no image.

        Raises `InvalidInputError` if the file is no ZIP, is above the limits, or holds no image that can be read.
        """
        self.path, self.title = path, path.stem
        self._limits = limits or ZipLimits()
        _check_entries(path, self._limits.files)
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [one for one in archive.infolist() if not one.is_dir()]
        except _DAMAGED as error:
            raise InvalidInputError(
                f"'{path.name}' cannot be read as a ZIP file; check the file, or pack it again."
            ) from error
        if len(entries) > self._limits.files:
            raise _too_many(path, self._limits.files)
        named = [(file_name(one.filename.replace("\\", "/")), one) for one in entries]
        named = [(name, one) for name, one in named if not is_litter(name)]
        self.unread: Sequence[tuple[str, str]] = [
            (name, _why_unread(name))
            for name, _ in named
            if PurePosixPath(name).suffix.lower() not in SUFFIXES
        ]
        images = [(name, one) for name, one in named if PurePosixPath(name).suffix.lower() in SUFFIXES]
        self._images = sorted(images, key=lambda image: image[0])
        self._check(entries)
        listed = "\n".join(f"{name} {one.file_size} {one.CRC:08x}" for name, one in self._images)
        self.mark: Mapping[str, Any] = {
            "zip": file_name(str(path.resolve())),
            "images": len(self._images),
            "files": hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest(),
        }

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """Yield one item per image; what cannot be read says why."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                for name, entry in self._images:
                    if wanted(name):
                        yield self._item(archive, name, entry)
        except (zipfile.BadZipFile, OSError) as error:
            raise InvalidInputError(f"'{self.path.name}' cannot be read any more ({error}).") from error

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """See `Source`."""
        for name, _ in self._images:
            yield name, names_of_file(name)

    def total(self, done: int) -> int | None:
        """Return the number of images."""
        return len(self._images)

    @property
    def size(self) -> int:
        """Bytes of the images together, unpacked."""
        return sum(one.file_size for _, one in self._images)

    def _check(self, entries: Sequence[zipfile.ZipInfo]) -> None:
        name = self.path.name
        if not self._images:
            packed = any(PurePosixPath(one.filename).suffix.lower() in _ARCHIVES for one in entries)
            more = (
                "; it holds another archive, which is not opened: pack the images themselves"
                if packed
                else ""
            )
            raise InvalidInputError(f"'{name}' holds no images{more}.")
        if all(one.flag_bits & _ENCRYPTED for _, one in self._images):
            raise InvalidInputError(f"'{name}' is encrypted; pack the images without a password.")
        if self.size > self._limits.size:
            raise InvalidInputError(
                f"the images in '{name}' have {self.size / 1e6:,.0f} MB unpacked, more than the allowed "
                f"{self._limits.size / 1e6:,.0f} MB; give less at a time."
            )

    def _item(self, archive: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> SourceItem:
        problem = _why_refused(name, entry)
        if not problem and entry.file_size > self._limits.file:
            problem = f"it is larger than {self._limits.file / 1e6:,.0f} MB unpacked"
        if problem:
            return SourceItem(name, None, problem=problem)
        try:
            # Python reads no more than the size that the table of contents states, which was added up above.
            text = {"caption": caption_of_file(name), "source": file_name(self.title)}
            return SourceItem(name, archive.read(entry), text, names_of_file(name))
        except _DAMAGED:
            return SourceItem(name, None, problem="it is damaged, or packed in a way that cannot be read")


def _check_entries(path: Path, most: int) -> None:
    """Count entries before Python makes an object of each; an image of a ZIP may add a few to the count."""
    try:
        if path.stat().st_size > _COUNTED:
            return
        count, before = 0, b""
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                count += (before + block).count(_ENTRY)
                before = block[1 - len(_ENTRY) :]
    except OSError as error:
        raise InvalidInputError(f"'{path.name}' cannot be opened ({error.strerror}).") from error
    if count > most:
        raise _too_many(path, most)


def _too_many(path: Path, most: int) -> InvalidInputError:
    return InvalidInputError(
        f"'{path.name}' holds more than the allowed {most:,} files; give fewer at a time."
    )


def _why_unread(name: str) -> str:
    packed = PurePosixPath(name).suffix.lower() in _ARCHIVES
    return "an archive in the archive, which is not opened" if packed else "no image"


def _why_refused(name: str, entry: zipfile.ZipInfo) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "its path leads out of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link"
    return "it is encrypted" if entry.flag_bits & _ENCRYPTED else ""
