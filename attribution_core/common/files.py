"""Atomic file writes and SHA-256 checksums."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from attribution_core.common.text import message_of
from attribution_core.errors import CheckpointError, OutputError

USER_CACHE = Path.home() / ".cache/attribution-explorer"
"""What can be made again, kept for later processes; it may be deleted at any time."""
_BLOCK = 1 << 20
_REASON = re.compile(
    r"No space left on device|Disk quota exceeded|Permission denied|Read-only file system|File too large"
)
"""System messages within errors of libraries that do not raise `OSError`."""


@contextlib.contextmanager
def written_to(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn system errors of writing to a path into an `OutputError` with the path and the reason."""
    try:
        yield
    except OSError as error:
        raise OutputError(_cannot(path, error.strerror or message_of(error))) from error
    except (RuntimeError, ValueError, SafetensorError) as error:
        if reason := _REASON.search(str(error)):
            raise OutputError(_cannot(path, reason[0])) from error
        raise


def _cannot(path: str | os.PathLike[str], reason: str) -> str:
    return f"'{path}' cannot be written ({reason}); fix this or choose another path."


def is_partial(path: Path, name: str) -> bool:
    """Whether a path is a leftover of an interrupted `atomic_path` for a file of that name."""
    target = Path(name)
    return (
        re.fullmatch(rf"\.{re.escape(target.stem)}\.[0-9a-f]+\.part{re.escape(target.suffix)}", path.name)
        is not None
    )


def make_folder(path: str | os.PathLike[str]) -> None:
    """Create a folder and its parents if missing. Raises `OutputError` if it cannot be created."""
    with written_to(path):
        Path(path).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path`, renamed to `path` on success and deleted on an error.

    The temporary name keeps the suffix of `path`, because many writers choose a format by it. A missing folder is
    created. Raises `CheckpointError` if the block wrote nothing, and `OutputError` if writing fails or `path` is a
    folder or device: renaming would replace `/dev/null` by a file.
    """
    target = Path(path)
    make_folder(target.parent)
    if target.exists() and not target.is_file():
        raise OutputError(_cannot(target, "it is not a regular file"))
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(6)}.part{target.suffix}")
    try:
        with written_to(target):
            yield temporary
            if not temporary.is_file():
                raise CheckpointError(f"nothing was written for '{target}', so the file is unchanged.")
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json_atomic(path: str | os.PathLike[str], obj: Any) -> None:
    """Write `obj` atomically as indented UTF-8 JSON.

    Raises `CheckpointError` if `obj` cannot be expressed in JSON, for instance because of NaN or infinity.
    """
    try:
        text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"'{path}' cannot be written as JSON ({error}); use finite numbers, text, lists and dicts only."
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_array_atomic(path: str | os.PathLike[str], values: NDArray[Any]) -> None:
    """Write an array atomically as `.npy`.

    The array is serialised in memory first, because NumPy's own file errors do not give the reason.
    """
    buffer = io.BytesIO()
    np.save(buffer, values)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits. Raises `CheckpointError` if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}.") from error
    return digest.hexdigest()
