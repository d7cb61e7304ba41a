"""Files that somebody may hand over as a list, a table, a manifest, a card or features: damaged, lying or hostile."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save


class _Call:
    """What a pickle calls when somebody opens it without care: here, a program that says so."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("echo the file ran a program",)


def bad_texts() -> Iterator[tuple[str, bytes]]:
    """(name without an ending, content), the same each time; every name tells the kind."""
    yield "empty", b""
    yield "spaces-alone", b" \n\t\n  \n"
    yield "zeros", bytes(5000)
    yield "every-byte", bytes(range(256)) * 20
    yield "utf-16-without-mark", "id,caption\n1,a cat\n".encode("utf-16-le")
    yield "half-a-character", b'{"id": "a", "caption": "\\ud800"}\n'
    yield "cut-off-character", "id,caption\n1,caf\u00e9".encode()[:-1]
    yield "escapes", b"id,caption\n\x1b[31mred,\x1b]0;title\x07\n"
    yield "one-long-line", b"a" * 3_000_000
    yield "unclosed-quote", b'id,caption\n1,"' + b"x" * 200_000
    yield "ragged-table", b"id,caption,creator\n1,a,b,c,d\n2\n"
    yield "same-header-twice", b"id,id,caption\n1,2,a\n"
    yield "deep-lists", b"[" * 100_000
    yield "deep-objects", b'{"a":' * 100_000
    yield "long-number", b"[" + b"9" * 5000 + b"]"
    yield "numbers-that-are-none", b'[{"id": NaN, "caption": Infinity}]'
    yield "a-number", b"42"
    yield "a-word", b'"word"'
    yield "nothing", b"null"
    yield "an-object", b'{"models": 3, "images": null}'
    yield "list-of-lists", b"[[1, 2], [3]]"
    yield (
        "wrong-kinds",
        json.dumps([{"class_id": [], "category": {}, "exemplar": "a.png", "synth": 7}]).encode(),
    )
    yield (
        "ways-out",
        json.dumps(
            [{"model": "m", "category": "c", "exemplars": ["../../etc/passwd"], "made": {"p": ["/dev/zero"]}}]
        ).encode(),
    )
    yield "pickle", pickle.dumps(_Call())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", pickle.dumps(_Call()))
        packed.writestr("archive/version", "3")
    yield "pickle-in-a-checkpoint", archive.getvalue()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", bytes(50_000_000))
    yield "zip-bomb", bomb.getvalue()
    tensors = io.BytesIO()
    torch.save({"weights": torch.zeros(3)}, tensors)
    yield "other-tensors", tensors.getvalue()
    yield "tensors-cut-in-half", tensors.getvalue()[: len(tensors.getvalue()) // 2]
    safe = save({"a": torch.zeros(4)})
    yield "other-safetensors", safe
    yield "safetensors-that-lie", b"\xff" * 7 + b"\x7f" + safe[8:]
    table = io.BytesIO()
    pq.write_table(pa.table({"x": [1, 2, 3]}), table)
    yield "other-columns", table.getvalue()
    yield "parquet-cut-in-half", table.getvalue()[: len(table.getvalue()) // 2]
    yield "parquet-with-a-hole", table.getvalue()[:20] + bytes(20) + table.getvalue()[40:]
