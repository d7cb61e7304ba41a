"""Cards (`card.json`) of stored folders, and writes that never leave half a file behind."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attribution_core.errors import CheckpointError, MissingDependencyError

CARD_NAME = "card.json"
_BLOCK = 1 << 20


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is renamed to `path`, on an error removed.

    The temporary name keeps the suffix of `path`, because many writers choose a format by it. The folder is
    made if it is missing. Raises `CheckpointError` if the block wrote nothing there.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(6)}.part{target.suffix}")
    try:
        yield temporary
        if not temporary.is_file():
            raise CheckpointError(f"nothing was written for '{target}'; the file is left as it was.")
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(target)
    finally:
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
        card = json.loads(path.read_text(encoding="utf-8"))
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


def part_folder(directory: str | os.PathLike[str], card: Mapping[str, Any], part: str) -> Path:
    """Where a collection keeps "corpus", "index" or "features".

    What was changed since it was made stands beside what it was, and the card's "edition" says which of them holds: so
    that one written file changes all parts at once.
    """
    edition = card.get("edition", 1)
    return Path(directory) / (part if edition == 1 else f"{part}-{edition}")


def verify_files(directory: str | os.PathLike[str]) -> None:
    """Compare every file named under "files" in the card with its SHA-256.

    A card without "files" has nothing to compare. Raises `CheckpointError` that names the first file that is
    missing, differs, or lies outside of the folder.
    """
    folder = Path(directory)
    files = read_card(folder).get("files", {})
    if not isinstance(files, dict):
        raise CheckpointError(f"'{folder / CARD_NAME}': \"files\" must map file names to SHA-256 values.")
    root = folder.resolve()
    for name, expected in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(root):
            raise CheckpointError(f"'{folder / CARD_NAME}' names '{name}', which lies outside of its folder.")
        if not path.is_file():
            raise CheckpointError(f"'{path}' is named in card.json but missing; download or make it again.")
        given = sha256_file(path)
        if given != expected:
            raise CheckpointError(
                f"'{path}' differs from its card (sha256 {given[:12]}..., expected {str(expected)[:12]}...); "
                "download or make it again."
            )


def read_tensors(path: str | os.PathLike[str], mapped: bool = False) -> Any:
    """Return what a `.pth` file of others holds: tensors, numbers, text, lists and dicts, nothing else.

    mapped: leave tensors on the disk until they are used, where the file's format allows it.
    Read with `weights_only=True`, so that a file cannot run code. Raises `CheckpointError` if it is missing,
    damaged, or holds other objects, `MissingDependencyError` without torch.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("reading .pth files needs torch; run `pip install torch`.") from error
    try:
        # Files of before torch 1.6 are no zip archives and cannot be mapped.
        in_place = mapped and zipfile.is_zipfile(path)
        return torch.load(Path(path), map_location="cpu", weights_only=True, mmap=in_place)
    except FileNotFoundError as error:
        raise CheckpointError(f"'{path}' does not exist; download the released weights first.") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"'{path}' cannot be read as plain tensors ({type(error).__name__}): it is damaged, or holds "
            "other objects, which are refused. Download it again."
        ) from error
