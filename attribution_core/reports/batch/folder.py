"""A batch in a folder: attributed block by block, resumed after an interruption, written as tables and a page.

`run.json` says what the rows are of. While the batch runs, complete blocks lie in `parts`; the tables are written at
the end, each whole or not at all, and `parts` goes. A later run takes the rows of unchanged files from there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import exclusive
from attribution_core.collection.sources.item import Source
from attribution_core.common.cards import CARD_NAME
from attribution_core.common.files import atomic_path, sha256_file, write_json_atomic
from attribution_core.common.json_text import parse_json, read_json
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.reports.batch.attribute import BatchOptions, attribute_batch
from attribution_core.reports.batch.json_ld import batch_json_ld
from attribution_core.reports.batch.page import batch_page
from attribution_core.reports.batch.row import BatchRow
from attribution_core.reports.batch.summary import BatchSummary

RUN, PARTS, ROWS = "run.json", "parts", "images.jsonl"
FILES: dict[str, Callable[[BatchSummary], str]] = {
    ROWS: BatchSummary.images_jsonl,
    "images.csv": BatchSummary.images_csv,
    "makers.jsonl": BatchSummary.makers_jsonl,
    "makers.csv": BatchSummary.makers_csv,
    "images.jsonld": batch_json_ld,
    "index.html": batch_page,
}
"""The files of a batch, and what each holds."""


@dataclass(frozen=True, eq=False)
class BatchRun:
    """A finished run.

    kept: rows that an earlier run had made. changed: images that had changed since. gone: images of that run that are
    no longer in the source, and so in no table.
    """

    summary: BatchSummary
    kept: int = 0
    changed: int = 0
    gone: int = 0


def run_batch(
    source: Source,
    out: Path,
    attributor: Attributor,
    copies: Memorization | None,
    options: BatchOptions | None = None,
    on_progress: OnProgress | None = None,
) -> BatchRun:
    """Attribute all images of a source and write the files; what an earlier run did there is not done again.

    copies: what tells copies; None leaves them out. Raises `InvalidInputError` where `out` holds something else or
    rows of other settings, `CheckpointError` where it is damaged or another run is at work on it, `OutputError`, and
    what reading the source raises.
    """
    options = options or BatchOptions()
    settings = _settings(attributor.collection, copies is not None, options)
    _check_empty(out)
    with exclusive(out):
        known = _known(out, settings)
        write_json_atomic(out / RUN, {"batch": 1, "complete": False, "settings": settings})
        rows: list[BatchRow] = []
        kept = changed = 0
        number = _next_part(out)
        blocks = attribute_batch(source.items(lambda _: True), attributor, copies, options, known)
        for block in blocks:
            fresh = [row for row in block if known.get(row.name) is not row]
            if fresh:
                _write_lines(out / PARTS / f"{number:06d}.jsonl", fresh)
                number += 1
            rows += block
            kept += len(block) - len(fresh)
            changed += sum(row.name in known and known[row.name].sha256 != row.sha256 for row in fresh)
            if on_progress is not None:
                on_progress(Progress("attributing", len(rows), source.total(len(rows)), resumed=kept))
        if not any(not row.problem for row in rows):
            first = f" (such as '{rows[0].name}': {rows[0].problem.rstrip('.')})" if rows else ""
            raise InvalidInputError(f"no image of '{source.title}' can be read{first}.")
        summary = BatchSummary.of(
            rows, attributor.collection, copies_checked=copies is not None, unread=source.unread
        )
        for name, text in FILES.items():
            with atomic_path(out / name) as temporary:
                temporary.write_text(text(summary), encoding="utf-8")
        write_json_atomic(
            out / RUN, {"batch": 1, "complete": True, "settings": settings, "summary": summary.to_dict()}
        )
        shutil.rmtree(out / PARTS, ignore_errors=True)
    gone = len(known.keys() - {row.name for row in rows})
    return BatchRun(summary, kept, changed, gone)


def _settings(collection: Collection, copies: bool, options: BatchOptions) -> dict[str, Any]:
    """What rows depend on, beside their images."""
    calibrator = collection.calibrator
    temperature = options.temperature
    if temperature is None and calibrator.is_fitted:
        temperature = calibrator.temperature_
    return {
        "collection": collection.name,
        "card": sha256_file(collection.path / CARD_NAME),
        "method": collection.method,
        "encoder": collection.encoder_name,
        "temperature": temperature,
        "copies": copies,
        **{key: value for key, value in asdict(options).items() if key in ("top", "works", "said_so")},
    }


def _check_empty(out: Path) -> None:
    """Raise `InvalidInputError` for what is no folder of a batch, so that nothing of a user's is written over."""
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"'{out}' is a file; give a folder to write the tables to.")
    if out.is_dir() and not (out / RUN).is_file() and any(not p.name.startswith(".") for p in out.iterdir()):
        raise InvalidInputError(f"'{out}' is not empty and holds no batch; give a new folder.")


def _known(out: Path, settings: dict[str, Any]) -> dict[str, BatchRow]:
    """Rows of earlier runs by name, the latest of each."""
    if not (out / RUN).is_file():
        return {}
    try:
        earlier = read_json(out / RUN)["settings"]
        files = [out / ROWS, *sorted((out / PARTS).glob("[0-9]*.jsonl"))]
        # Not `splitlines`, which also splits at characters that JSON leaves as they are, such as U+2028.
        lines = [line for file in files if file.is_file() for line in file.read_text("utf-8").split("\n")]
        rows = [BatchRow.from_dict(parse_json(line)) for line in lines if line]
        changed = [key for key in settings if earlier.get(key) != settings[key]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"what an earlier run left in '{out}' cannot be read; delete the folder, or give another."
        ) from error
    if changed:
        key = changed[0]
        raise InvalidInputError(
            f"'{out}' holds rows of another {'collection' if key == 'card' else key} "
            f"({earlier.get(key)!r}, now {settings[key]!r}); give another folder, or delete that one."
        )
    return {row.name: row for row in rows}


def _next_part(out: Path) -> int:
    return max((int(part.stem) for part in (out / PARTS).glob("[0-9]*.jsonl")), default=-1) + 1


def _write_lines(path: Path, rows: list[BatchRow]) -> None:
    text = "".join(f"{json.dumps(row.to_dict(), ensure_ascii=False, allow_nan=False)}\n" for row in rows)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
