"""The app's own temporary folder: readable by nobody else, emptied at the end, and at the next start at the latest."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from attribution_core.errors import InvalidInputError

SETTING = "GRADIO_TEMP_DIR"


@functools.cache
def private_folder() -> Path:
    """The folder of this process, mode 0700, in what GRADIO_TEMP_DIR names or else beside other temporary files.

    Gradio is made to use it, too. What apps left behind that were killed is deleted first. Raises `InvalidInputError`
    where no folder can be made, or where somebody else's stands in its place.
    """
    named = os.environ.get(SETTING)
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    base = Path(named) if named else Path(tempfile.gettempdir()) / f"attribution-explorer-{owner}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not named:
            _check_own(base)
        _delete_abandoned(base)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=base.resolve()))  # mode 0700
        _hold(folder)
    except OSError as error:
        raise InvalidInputError(
            f"the temporary folder '{base}' cannot be used ({error.strerror or error}); name another with {SETTING}."
        ) from error
    os.environ[SETTING] = str(folder)
    atexit.register(empty, folder)
    return folder


def empty(folder: Path) -> None:
    """Delete the folder of this process with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)


def _check_own(base: Path) -> None:
    """In a folder that all may write to, somebody else could have made ours first, or a link in its place."""
    status = base.lstat()
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        raise InvalidInputError(
            f"the temporary folder '{base}' belongs to somebody else; name another with {SETTING}."
        )
    base.chmod(0o700)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


_held: list[FileLock] = []


def _hold(folder: Path) -> None:
    """Keep a lock for as long as this process lives, however it ends."""
    lock = FileLock(_lock_of(folder), timeout=0, mode=0o600, thread_local=False)
    lock.acquire()
    _held.append(lock)


def _delete_abandoned(base: Path) -> None:
    for path in base.glob(".run-*.lock"):
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:  # its app is running
            continue
        lock.release()
        empty(path.with_name(path.name.removeprefix(".").removesuffix(".lock")))
