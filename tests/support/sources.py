"""Tar shards and tables of made-up images."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.fakes import shape_image, webp


def shard(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    mode = "w:gz" if path.suffix == ".gz" else "w"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def sample(seed: int, **told: str) -> list[tuple[str, bytes]]:
    return [
        (f"{seed:05d}.webp", webp(shape_image(seed))),
        (f"{seed:05d}.txt", f"shape\n{seed}".encode()),
        (f"{seed:05d}.json", json.dumps({"url": f"https://example.org/{seed}", "key": "x", **told}).encode()),
    ]


def parquet(path: Path, seeds: Iterable[int], **columns: list[str]) -> Path:
    images = [{"bytes": webp(shape_image(i)), "path": f"{i}.webp"} for i in seeds]
    pq.write_table(pa.table({"image": images, **columns}), path)
    return path
