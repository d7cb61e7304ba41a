"""Cards (`card.json`) of stored folders: reading, writing, and verifying the files they list."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attribution_core.common.files import sha256_file, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.errors import CheckpointError

CARD_NAME = "card.json"
_VERIFIED: dict[tuple[str, int, int], str] = {}
"""(path, size, modification time in ns) of hashed files -> SHA-256."""


def write_card(directory: str | os.PathLike[str], card: Mapping[str, Any]) -> None:
    """Write `directory`/card.json; a list of file names under "files" becomes {name: sha256}.

    Raises `CheckpointError` if a file named in the card is not in the folder.
    """
    folder = Path(directory)
    content = dict(card)
    files = content.get("files")
    if files is not None and not isinstance(files, Mapping):
        content["files"] = {str(name): sha256_file(folder / str(name)) for name in files}
    write_json_atomic(folder / CARD_NAME, content)


def read_card(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the card of a stored folder. Raises `CheckpointError` if it is missing or not a JSON object."""
    folder = Path(directory)
    path = folder / CARD_NAME
    try:
        card = read_json(path)
    except FileNotFoundError as error:
        what = "has no card.json" if folder.is_dir() else "does not exist"
        raise CheckpointError(
            f"'{folder}' {what}; give a folder written by `save` or a download, or create it again."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"'{path}' cannot be read ({error}); restore or create it again.") from error
    if not isinstance(card, dict):
        raise CheckpointError(
            f"'{path}' holds {type(card).__name__}, expected a JSON object; create it again."
        )
    return card


def verify_files(directory: str | os.PathLike[str], names: Callable[[str], bool] = lambda _: True) -> None:
    """Verify the SHA-256 of every file under "files" in the card.

    names: selects files to verify. A file is hashed once per process, and again if its size or modification time
    changes. A card without "files" passes. Raises a `CheckpointError` that names the first file that is missing,
    differs, or lies outside the folder.
    """
    folder = Path(directory)
    files = read_card(folder).get("files", {})
    if not isinstance(files, dict):
        raise CheckpointError(f"'{folder / CARD_NAME}': \"files\" must map file names to SHA-256 values.")
    root = folder.resolve()
    for name, expected in files.items():
        if not names(str(name)):
            continue
        path = folder / name
        if not path.resolve().is_relative_to(root):
            raise CheckpointError(f"'{folder / CARD_NAME}' names '{name}', which lies outside its folder.")
        if not path.is_file():
            raise CheckpointError(
                f"'{path}' is listed in card.json but missing; download or create it again."
            )
        status = path.stat()
        version = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        if _VERIFIED.get(version) == expected:
            continue
        actual = _VERIFIED[version] = sha256_file(path)
        if actual != expected:
            raise CheckpointError(
                f"'{path}' differs from its card (sha256 {actual[:12]}..., expected {str(expected)[:12]}...); "
                "download or create it again."
            )
