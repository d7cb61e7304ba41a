"""Cards (`card.json`) of stored folders: read, checked against a model and the files next to them, and written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from attribution_core.common.files import USER_CACHE, atomic_path, sha256_file, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.errors import CheckpointError, CollectionMismatchError

CARD_NAME = "card.json"
_VERIFIED: dict[tuple[str, int, int], str] = {}
"""(path, size, modification time in ns) of files that were read -> their SHA-256."""
_LARGE = 64_000_000  # bytes, which take a good part of a second to read
NOTES = USER_CACHE / "verified"
"""The same of large files, each in a file of its own; it may be deleted at any time."""


class Card(BaseModel):
    """What is checked of every card; other keys are ignored.

    files: name -> SHA-256 of each file that belongs to the folder. KIND: of folder, for errors.
    """

    model_config = ConfigDict(strict=True, frozen=True)
    KIND: ClassVar[str] = "a stored folder"
    files: dict[str, str] = {}


class PartCard(Card):
    """The card of a part that was made for one encoder, such as an index. encoder: its name."""

    encoder: str
    files: dict[str, str]


AnyCard = TypeVar("AnyCard", bound=Card)
AnyPartCard = TypeVar("AnyPartCard", bound=PartCard)


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
            f"'{folder}' {what}; give a folder that `index` or another command wrote, or a download."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"'{path}' cannot be read ({error}); restore or create it again.") from error
    if not isinstance(card, dict):
        raise CheckpointError(
            f"'{path}' holds {type(card).__name__}, expected a JSON object; create it again."
        )
    return card


def check_card(directory: str | os.PathLike[str], card: Mapping[str, Any], model: type[AnyCard]) -> AnyCard:
    """Check the content of a folder's card. Raises `CheckpointError` that names the first wrong value."""
    path = Path(directory) / CARD_NAME
    try:
        return model.model_validate(card)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lacking = [str(one["loc"][0]) for one in details if one["type"] == "missing"]
        if lacking:
            raise CheckpointError(
                f"'{path}' lacks {', '.join(lacking)}; is it {model.KIND}? Make it again."
            ) from error
        key, value = ".".join(map(str, details[0]["loc"])), repr(details[0]["input"])[:60]
        message = details[0]["msg"].removeprefix("Input ")
        raise CheckpointError(f"'{path}' has {key} {value}, which {message}; make it again.") from error


def load_card(directory: str | os.PathLike[str], model: type[AnyCard]) -> AnyCard:
    """Read and check the card of a stored folder. Raises `CheckpointError`."""
    return check_card(directory, read_card(directory), model)


def load_part(
    directory: str | os.PathLike[str], model: type[AnyPartCard], encoder: str | None = None
) -> AnyPartCard:
    """Read and check the card of a part and the files that it names.

    encoder: if given, the one that the part must have been made for. Raises `CheckpointError`, and
    `CollectionMismatchError` for another encoder.
    """
    card = load_card(directory, model)
    if encoder is not None and card.encoder != encoder:
        raise CollectionMismatchError(
            f"'{directory}' is {model.KIND} for encoder {card.encoder!r}, expected {encoder!r}; make it again for "
            "that encoder."
        )
    verify_files(directory)
    return card


def verify_files(directory: str | os.PathLike[str], names: Callable[[str], bool] = lambda _: True) -> None:
    """Verify the SHA-256 of every file under "files" in the card.

    names: which of them. A file is read once per process, one of over 64 MB once per machine, and again if its size or
    modification time changes. A card without "files" has nothing to compare. Raises `CheckpointError` that names the
    first file that is missing, differs, or lies outside of the folder.
    """
    folder = Path(directory)
    root = folder.resolve()
    for name, expected in load_card(folder, Card).files.items():
        if not names(name):
            continue
        path = folder / name
        if not path.resolve().is_relative_to(root):
            raise CheckpointError(f"'{folder / CARD_NAME}' names '{name}', which lies outside its folder.")
        if not path.is_file():
            raise CheckpointError(f"'{path}' is named in card.json but missing; download or make it again.")
        actual = _digest(path, expected)
        if actual != expected:
            raise CheckpointError(
                f"'{path}' differs from its card (sha256 {actual[:12]}..., expected {expected[:12]}...); "
                "download or make it again."
            )


def _digest(path: Path, expected: str) -> str:
    """Return a file's SHA-256; from memory or a note if its size and modification time are as they were."""
    stat = path.stat()
    state = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if _VERIFIED.get(state) == expected:
        return expected
    note = NOTES / hashlib.sha256(repr(state).encode()).hexdigest()
    if stat.st_size >= _LARGE and _read_note(note) == expected:
        _VERIFIED[state] = expected
        return expected
    actual = _VERIFIED[state] = sha256_file(path)
    if stat.st_size >= _LARGE:
        with contextlib.suppress(OSError):  # a home that cannot be written to costs time only
            NOTES.mkdir(parents=True, exist_ok=True)
            with atomic_path(note) as temporary:
                temporary.write_text(actual)
    return actual


def _read_note(note: Path) -> str | None:
    try:
        return note.read_text()
    except (OSError, UnicodeDecodeError):
        return None
