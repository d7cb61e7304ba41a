"""Unpacks tar archives of others: plain files only, none outside of the folder, nothing left half-written."""

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
    """An archive is damaged, or holds what must not be unpacked; fetching it again may help, keeping it does not."""


def unpack(archive: Path, folder: Path, on_progress: Callable[[int], None] | None = None) -> tuple[Path, ...]:
    """Unpack a tar archive, compressed or not, into a folder; files of the same name are replaced.

    on_progress: called with the bytes that are unpacked so far. Returns the files, relative to the folder, in the
    archive's order. Raises `BadArchiveError` for what is no archive or is cut off, and for members that are no plain
    files or would lie outside of the folder, `DownloadError` for a full disk; the folder is then as it was.
    """
    inside = folder / f".unpacking-{archive.name.lstrip('.')}"  # on the same disk, so that moving is renaming
    shutil.rmtree(inside, ignore_errors=True)  # of a call that was killed
    try:
        inside.mkdir(parents=True)
        try:
            names = _extract(archive, inside, on_progress)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise BadArchiveError(
                f"'{archive.name}' is no whole archive ({message_of(error)}); fetch it again."
            ) from error
        except OSError as error:
            raise DownloadError(
                f"'{archive.name}' cannot be unpacked into '{folder}' ({error.strerror or error}); "
                "make room or fetch it again."
            ) from error
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (inside / name).replace(folder / name)
    finally:
        shutil.rmtree(inside, ignore_errors=True)
    return names


def _extract(archive: Path, folder: Path, on_progress: Callable[[int], None] | None) -> tuple[Path, ...]:
    names: dict[Path, None] = {}
    done = 0
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            name = _inside(archive, member)
            if member.isdir() or name is None:
                continue
            source = tar.extractfile(member) if member.isfile() else None
            if source is None:
                raise BadArchiveError(
                    f"'{archive.name}' holds '{member.name}', which is no plain file (a link or a "
                    "device); nothing of it was unpacked."
                )
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)
            if (folder / name).stat().st_size != member.size:
                raise EOFError(f"'{member.name}' is cut off")
            names[name] = None
            done += member.size
            if on_progress:
                on_progress(done)
        # Cut near the head of a member, an archive looks as if it ended there. Compressed ones end in a checksum.
        while tar.fileobj is not None and tar.fileobj.read(_BLOCK):
            pass
        if (
            isinstance(tar.fileobj, io.BufferedReader)
            and archive.stat().st_size < tar.offset + tarfile.BLOCKSIZE
        ):
            raise EOFError("its end is missing")
    return tuple(names)


def _inside(archive: Path, member: tarfile.TarInfo) -> Path | None:
    """Where a member goes, relative to the folder; None for the folder itself. Raises `DownloadError`."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name.split("/")[0]:
        raise BadArchiveError(
            f"'{archive.name}' holds '{member.name}', which lies outside of the folder; nothing of "
            "it was unpacked."
        )
    return Path(*path.parts) if path.parts else None
