"""The note in an index's folder that lists the Milvus collections the folder has created.

An entry is written before its collection is created, so the next run finds whatever a killed one left behind. Only
collections in a folder's own note are ever dropped.
"""

from __future__ import annotations

from pathlib import Path

from attribution_core.common.files import make_folder, write_json_atomic
from attribution_core.common.json_text import read_json

NOTE = "milvus.json"


def read_note(home: Path) -> list[dict[str, str]]:
    """Return the folder's entries, each {"store": address, "name": collection}.

    A copied folder keeps only entries whose Milvus Lite file was copied with it; the others belong to the original.
    """
    try:
        note = read_json(home / NOTE)
        entries, original = list(note["collections"]), note["folder"] == home.stat().st_ino
        return [entry for entry in entries if original or _inside(entry["store"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def add_to_note(home: Path, store: str, name: str) -> None:
    """Add an entry; creates the folder."""
    make_folder(home)
    write_note(home, [*read_note(home), {"store": store, "name": name}])


def write_note(home: Path, collections: list[dict[str, str]]) -> None:
    """Replace the entries; without any, delete the note."""
    if collections:
        write_json_atomic(
            home / NOTE,
            {
                "what": "Milvus collections that this folder has made, and deletes with itself",
                "folder": home.stat().st_ino,
                "collections": collections,
            },
        )
    else:
        (home / NOTE).unlink(missing_ok=True)


def _inside(store: str) -> bool:
    return store.endswith(".db") and not Path(store.partition(":")[2]).is_absolute()
