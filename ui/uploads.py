"""Files that visitors uploaded, told from all others of this machine."""

from __future__ import annotations

from pathlib import Path

from gradio.utils import get_upload_folder

from attribution_core.errors import InvalidInputError


def uploaded(path: str, folder: Path | None = None) -> Path:
    """Where an uploaded file lies.

    folder: of uploads; None is Gradio's. Calls without a page name their files themselves, so anybody could have any
    file of this machine read. Raises `InvalidInputError` for a file outside of the folder.
    """
    file = Path(path).resolve()
    if (folder or Path(get_upload_folder())).resolve() not in file.parents:
        raise InvalidInputError("that is no uploaded file; upload the images first.")
    return file
