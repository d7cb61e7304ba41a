"""Compares an index in Milvus with one in memory: `python -m benchmarks.stores --help`.

The same rows and queries go to Milvus (Milvus Lite in a temporary file, or a server) and to FAISS `Flat` as the peer.
Prints one JSON line per number of rows: seconds to build and search, also relative to the peer; the relative width of
the intervals of Milvus's shares; and whether they contain the peer's shares. Rows are random clustered unit vectors
whose similarities are spread like those of images, from about 0 to 0.9.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from attribution_core.common.arrays import normalized
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator
from benchmarks.query import machine, timed

TEMPERATURES = (0.05, 0.02)
ROUNDING = 1.0001  # two ways to sum float32 products differ by so much of a share at most


def rows(count: int, dim: int, seed: int) -> np.ndarray:
    """Draw (count, dim) float32 unit rows in 200 clusters."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((200, dim), dtype=np.float32)
    closeness = rng.uniform(0.2, 3, (count, 1)).astype(np.float32)
    noise = rng.standard_normal((count, dim), dtype=np.float32)
    return normalized(closeness * centres[rng.integers(0, len(centres), count)] + noise)


def main(
    counts: Annotated[str, typer.Option(help="Numbers of rows, separated by commas.")] = "10000,100000",
    dim: Annotated[int, typer.Option(min=2)] = 256,
    queries: Annotated[int, typer.Option(min=1)] = 7,
    top: Annotated[int, typer.Option(min=1)] = 100,
    store: Annotated[str, typer.Option(help="milvus://HOST:PORT; default: Milvus Lite.")] = "",
) -> None:
    """Measure both indexes."""
    for count in map(int, counts.split(",")):
        train, asked = rows(count, dim, 1), rows(queries, dim, 2)
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "collection/index"
            flat_built, flat = timed(lambda train=train: TrainingIndex.build(train))
            built, milvus = timed(
                lambda train=train, home=home: TrainingIndex.build(
                    train, store or "milvus:rows.db", home=home
                )
            )
            for index in (flat, milvus):  # the first search of each loads what later ones have
                index.search(asked[:1], top)
            pairs = [
                (
                    timed(lambda q=q, flat=flat: flat.search(q, top)),
                    timed(lambda q=q, milvus=milvus: milvus.search(q, top)),
                )
                for q in asked[:, None]
            ]
            told = {
                "rows": count,
                "dim": dim,
                "top": top,
                "kind": str(pairs[0][1][1].rest.kind),
                "build_s": round(built, 2),
                "build_ratio": round(built / flat_built, 1),
            }
            seconds, peer = (statistics.median(pair[k][0] for pair in pairs) for k in (1, 0))
            told |= {"search_s": round(seconds, 4), "search_ratio": round(seconds / peer, 1)}
            for temperature in TEMPERATURES:
                calibrator = Calibrator.from_temperature(temperature)
                shares = [(calibrator.influence(a[1]), calibrator.influence(b[1])) for a, b in pairs]
                width = [float(((m.high - m.low) / m.influence).max()) for _, m in shares]
                within = [
                    bool(((m.low <= f.high * ROUNDING) & (f.low <= m.high * ROUNDING)).all())
                    for f, m in shares
                ]
                told[f"width_at_{temperature:g}"] = round(max(width), 4)
                told[f"flat_within_at_{temperature:g}"] = all(within)
            TrainingIndex.discard(home)
            print(json.dumps(told | machine()), flush=True)


if __name__ == "__main__":
    typer.run(main)
