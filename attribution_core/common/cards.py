"""Cards (`card.json`) of stored folders: read, written, and checked against the files beside them."""

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
"""(path, size, time of change in ns) of files that were read -> their SHA-256."""


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
            f"'{folder}' {what}; give the folder that a `save` or a download made, or make it again."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"'{path}' cannot be read ({error}); restore or make it again.") from error
    if not isinstance(card, dict):
        raise CheckpointError(f"'{path}' holds {type(card).__name__}, expected a JSON object; make it again.")
    return card


def verify_files(directory: str | os.PathLike[str], names: Callable[[str], bool] = lambda _: True) -> None:
    """Compare every file named under "files" in the card with its SHA-256.

    names: which of them. A file is read once a process, and again where its size or time of change is another. A card
    without "files" has nothing to compare. Raises `CheckpointError` that names the first file that is missing,
    differs, or lies outside of the folder.
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
            raise CheckpointError(f"'{folder / CARD_NAME}' names '{name}', which lies outside of its folder.")
        if not path.is_file():
            raise CheckpointError(f"'{path}' is named in card.json but missing; download or make it again.")
        told = path.stat()
        seen = (str(path.resolve()), told.st_size, told.st_mtime_ns)
        if _VERIFIED.get(seen) == expected:
            continue
        given = _VERIFIED[seen] = sha256_file(path)
        if given != expected:
            raise CheckpointError(
                f"'{path}' differs from its card (sha256 {given[:12]}..., expected {str(expected)[:12]}...); "
                "download or make it again."
            )
