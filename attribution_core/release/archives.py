"""Unpacks third-party tar archives safely: regular files only, none outside the folder, all or nothing."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from attribution_core.common.text import message_of
from attribution_core.errors import DownloadError

_BLOCK = 1 << 20


class BadArchiveError(DownloadError):
    """The archive is damaged or holds members that must not be unpacked; the file should be deleted."""


def unpack(archive: Path, folder: Path, on_progress: Callable[[int], None] | None = None) -> tuple[Path, ...]:
    """Unpack a tar archive, compressed or not, into a folder; replaces files of the same name.

    on_progress: called with the bytes unpacked so far. Returns the files, relative to the folder, in the archive's
    order. Raises `BadArchiveError` for an invalid or truncated archive, and for members that are not regular files or
    would lie outside the folder; `DownloadError` for a full disk. The folder is then unchanged.
    """
    temporary = (
        folder / f".unpacking-{archive.name.lstrip('.')}"
    )  # on the same disk, so that moving is renaming
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed call
    try:
        temporary.mkdir(parents=True)
        try:
            names = _extract(archive, temporary, on_progress)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise BadArchiveError(
                f"'{archive.name}' is not a complete archive ({message_of(error)}); fetch it again."
            ) from error
        except OSError as error:
            raise DownloadError(
                f"'{archive.name}' cannot be unpacked into '{folder}' ({error.strerror or error}); "
                "make room or fetch it again."
            ) from error
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).replace(folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return names


def _extract(archive: Path, folder: Path, on_progress: Callable[[int], None] | None) -> tuple[Path, ...]:
    names: dict[Path, None] = {}
    done = 0
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            name = _safe_path(archive, member)
            if member.isdir() or name is None:
                continue
            source = tar.extractfile(member) if member.isfile() else None
            if source is None:
                raise BadArchiveError(
                    f"'{archive.name}' holds '{member.name}', which is not a regular file (but a link or device); "
                    "nothing was unpacked."
                )
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)
            if (folder / name).stat().st_size != member.size:
                raise EOFError(f"'{member.name}' is truncated")
            names[name] = None
            done += member.size
            if on_progress:
                on_progress(done)
        # An archive truncated near a member's header looks complete. Reading compressed ones to the end checks their
        # checksum.
        while tar.fileobj is not None and tar.fileobj.read(_BLOCK):
            pass
        if (
            isinstance(tar.fileobj, io.BufferedReader)
            and archive.stat().st_size < tar.offset + tarfile.BLOCKSIZE
        ):
            raise EOFError("its end is missing")
    return tuple(names)


def _safe_path(archive: Path, member: tarfile.TarInfo) -> Path | None:
    """Return a member's path relative to the folder; None for the folder itself. Raises `BadArchiveError`."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name.split("/")[0]:
        raise BadArchiveError(
            f"'{archive.name}' holds '{member.name}', which lies outside the folder; nothing was unpacked."
        )
    return Path(*path.parts) if path.parts else None
