"""Where the parts of a collection lie in its folder: methods, editions, what a build leaves, the lock."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from attribution_core.common.files import make_folder, written_to
from attribution_core.errors import CheckpointError

PARTS = ("corpus", "features", "index")
FEATURES, PIXELS, SUMMARY = ".npy", ".pixels.npy", ".json"
"""What is kept of a shard beside its rows: features, signatures, and what was skipped."""
BUILDING = "building"
REMOVING = "removing.json"
"""Ids of the images that are being removed, while they are."""
LOCK = ".lock"
METHODS = "methods"
OWN_METHOD = "own"  # what a collection's own method is called where its card does not name it


def parts_folder(folder: Path, own: str, method: str) -> Path:
    """Where the mappers, index and calibrator of a method lie. own: the collection's own method."""
    return folder if method == own else folder / METHODS / method


def index_folder(folder: Path, parts: Path, card: Mapping[str, Any]) -> Path:
    """Where the index of a method lies; the collection's card tells the edition of its own method's alone."""
    return part_folder(parts, card if parts == folder else {}, "index")


def other_methods(folder: Path) -> list[str]:
    """Names of the methods that stand beside the collection's own."""
    return sorted(path.parent.name for path in (folder / METHODS).glob("*/card.json"))


def part_folder(directory: str | os.PathLike[str], card: Mapping[str, Any], part: str) -> Path:
    """Where a collection keeps "corpus", "index" or "features".

    What was changed since it was made stands beside what it was, and the card's "edition" says which of them holds: so
    that one written file changes all parts at once.
    """
    edition = card.get("edition", 1)
    return Path(directory) / (part if edition == 1 else f"{part}-{edition}")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let nobody else change the folder meanwhile.

    Raises `CheckpointError` where somebody does, `OutputError` where nothing can be written there.
    """
    make_folder(folder)
    lock = FileLock(folder / LOCK, timeout=0)
    with written_to(folder / LOCK):
        try:
            lock.acquire()
        except Timeout as error:
            raise CheckpointError(
                f"another run is at work on '{folder}'; wait for it, or stop it first."
            ) from error
    try:
        yield
    finally:
        lock.release()
