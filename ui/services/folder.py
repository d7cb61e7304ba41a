"""The app's own temporary folder: readable by nobody else, emptied at the end, and at the next start at the latest."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import tempfile
from pathlib import Path

from attribution_core.errors import InvalidInputError

try:
    import fcntl
except ImportError:  # Windows: what a killed app left behind stays until somebody deletes it
    fcntl = None  # type: ignore[assignment]

SETTING = "GRADIO_TEMP_DIR"


@functools.cache
def private_folder() -> Path:
    """The folder of this process, mode 0700, in what GRADIO_TEMP_DIR names or else beside other temporary files.

    Gradio is told to use it, too. What apps left behind that were killed is deleted first. Raises `InvalidInputError`
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
    told = base.lstat()
    if not stat.S_ISDIR(told.st_mode) or (hasattr(os, "getuid") and told.st_uid != os.getuid()):
        raise InvalidInputError(
            f"the temporary folder '{base}' belongs to somebody else; name another with {SETTING}."
        )
    base.chmod(0o700)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


_held: list[int] = []


def _hold(folder: Path) -> None:
    """Keep a lock for as long as this process lives, however it ends."""
    handle = os.open(_lock_of(folder), os.O_CREAT | os.O_RDWR, 0o600)
    _held.append(handle)
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _delete_abandoned(base: Path) -> None:
    if fcntl is None:
        return
    for lock in base.glob(".run-*.lock"):
        handle = os.open(lock, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # its app is running
            continue
        finally:
            os.close(handle)
        empty(lock.with_name(lock.name.removeprefix(".").removesuffix(".lock")))
