"""Places where nothing more can be written: a disk of chosen size, and files of chosen size."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLENTY = 1 << 28


@contextlib.contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes; Python ignores the signal, so that writing is an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@dataclass(frozen=True)
class Disk:
    """A file system in memory, mounted at a folder; it begins with plenty of room."""

    path: Path

    def leave_pages(self, pages: int) -> None:
        """Let it have room for so many more pages of data. None more: it is full."""
        told = os.statvfs(self.path)
        self._remount(f"size={(told.f_blocks - told.f_bfree + pages) * told.f_frsize or 1}")  # 0 is no limit

    def leave_files(self, files: int) -> None:
        """Let it take so many more files and folders."""
        told = os.statvfs(self.path)
        self._remount(f"nr_inodes={told.f_files - told.f_ffree + files}")

    def leave_plenty(self) -> None:
        self._remount(f"rw,size={PLENTY},nr_inodes=100000")

    def lock(self) -> None:
        """Let nothing be written."""
        self._remount("ro")

    def _remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True, capture_output=True)


@contextlib.contextmanager
def disk(path: Path) -> Iterator[Disk]:
    """Mount one at a new folder. Raises `OSError` where this user may not."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={PLENTY},nr_inodes=100000", "tmpfs", str(path)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise OSError(done.stderr.strip())
    try:
        yield Disk(path)
    finally:
        # Lazily: a collection that was opened may still have a file mapped.
        subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)
