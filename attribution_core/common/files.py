"""Files that are written whole or not at all, and their SHA-256."""

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

_BLOCK = 1 << 20
_REASON = re.compile(
    r"No space left on device|Disk quota exceeded|Permission denied|Read-only file system|File too large"
)
"""What the system said, in errors of libraries that have no `OSError`."""


@contextlib.contextmanager
def written_to(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system says of writing there into `OutputError`, which names the path and the reason."""
    try:
        yield
    except OSError as error:
        raise OutputError(_cannot(path, error.strerror or message_of(error))) from error
    except (RuntimeError, ValueError, SafetensorError) as error:
        if reason := _REASON.search(str(error)):
            raise OutputError(_cannot(path, reason[0])) from error
        raise


def _cannot(path: str | os.PathLike[str], reason: str) -> str:
    return f"'{path}' cannot be written ({reason}); mend that, or give another place."


def is_partial(path: Path, name: str) -> bool:
    """Whether a file is what `atomic_path` left of a file of that name when it was killed."""
    target = Path(name)
    return (
        re.fullmatch(rf"\.{re.escape(target.stem)}\.[0-9a-f]+\.part{re.escape(target.suffix)}", path.name)
        is not None
    )


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder with those above it, where it is not there. Raises `OutputError` where it cannot be made."""
    with written_to(path):
        Path(path).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is renamed to `path`, on an error removed.

    The temporary name keeps the suffix of `path`, because many writers choose a format by it. The folder is
    made if it is missing. Raises `CheckpointError` if the block wrote nothing there, `OutputError` if it could not, and
    for a folder or a device: renaming would put a file in the place of `/dev/null`.
    """
    target = Path(path)
    make_folder(target.parent)
    if target.exists() and not target.is_file():
        raise OutputError(_cannot(target, "it is no regular file"))
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(6)}.part{target.suffix}")
    try:
        with written_to(target):
            yield temporary
            if not temporary.is_file():
                raise CheckpointError(f"nothing was written for '{target}'; the file is left as it was.")
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json_atomic(path: str | os.PathLike[str], obj: Any) -> None:
    """Write `obj` as indented UTF-8 JSON; readers see the old file or the whole new one, never a part.

    Raises `CheckpointError` if `obj` holds what JSON cannot (NaN and infinities included).
    """
    try:
        text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"'{path}' cannot be written as JSON ({error}); give plain finite numbers, text, lists and dicts."
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_array_atomic(path: str | os.PathLike[str], values: NDArray[Any]) -> None:
    """Write an array as `.npy`, whole or not at all.

    By way of memory: where it writes to a file itself, NumPy says not why it cannot.
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
