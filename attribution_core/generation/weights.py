"""One checksum over a generator's weights, which identifies it."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

from attribution_core.common.files import sha256_file

_SHA256 = re.compile(r"[0-9a-f]{64}")
_Files = tuple[tuple[Path, int, int], ...]
_LOCK = threading.Lock()
_known: dict[_Files, str] = {}


def weights_sha256(folder: Path) -> str:
    """Return one checksum over all weight files of a pipeline's folder; they are read again only where one changed."""
    paths = sorted(path for kind in ("*.safetensors", "*.bin") for path in folder.rglob(kind))
    stats = [(path, path.stat()) for path in paths]
    files = tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)
    if files not in _known:  # without the lock, which a fork may find held
        with _LOCK:
            if files not in _known:
                lines = (f"{path.relative_to(folder).as_posix()} {_sha256(path)}\n" for path in paths)
                _known[files] = hashlib.sha256("".join(lines).encode()).hexdigest()
    return _known[files]


def _sha256(path: Path) -> str:
    """Return a file's SHA-256; the hub's cache names large files by theirs, so those need not be read."""
    name = path.resolve().name
    return name if path.is_symlink() and _SHA256.fullmatch(name) else sha256_file(path)
