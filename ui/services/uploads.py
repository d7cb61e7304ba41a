"""Files that visitors uploaded, told from all others of this machine."""

from __future__ import annotations

from pathlib import Path

from attribution_core.errors import InvalidInputError


def uploaded(path: str, folder: Path | str) -> Path:
    """Where an uploaded file lies.

    folder: of uploads. Calls without a page name their files themselves, so anybody could have any
    file of this machine read. Raises `InvalidInputError` for a file outside of the folder.
    """
    file = Path(path).resolve()
    if Path(folder).resolve() not in file.parents:
        raise InvalidInputError("that is no uploaded file; upload the images first.")
    return file
