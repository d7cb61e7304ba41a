"""Compares search over many training images with the released demo's path: `python -m benchmarks.scale --help`.

The peer does what the paper's demo does, in PyTorch with all processor cores: all similarities in float32, the softmax
over all of them, and a full sort; it gives no interval. Both answer the same queries in turns in the same run, so that
other load slows both. Rows are random clustered unit vectors, as in `benchmarks.stores`. Prints one JSON line per kind
of index: seconds to build and open, bytes, milliseconds for one query and for each of a batch, their ratios to the
peer's, recall, how often the intervals of all listed shares contain the peer's shares, and how wide they are relative
to the strongest share.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from attribution_core.collection.collection import Collection
from attribution_core.common.arrays import normalized
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.scoring.shares import Shares
from benchmarks.query import machine, timed
from benchmarks.stores import rows

BLOCK = 50_000  # rows made at a time
TEMPERATURE = 0.05
_OPEN = """import sys, time
from attribution_core.retrieval.index import TrainingIndex
start = time.perf_counter()
index = TrainingIndex.load(sys.argv[1])
print(time.perf_counter() - start)"""
ROUNDING = 1e-3  # of a share, relative: of 16-bit rows and float32 sums


def released(train: torch.Tensor, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return influence and id of all rows, descending, (q, n) each, as the released demo computes them."""
    influence = torch.softmax(queries @ train.T / TEMPERATURE, dim=1)
    return torch.sort(influence, dim=1, descending=True)


def mixed(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Make (count, d) unit rows, each between two of a collection's (n, d) features and nearer to the first."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(len(features), size=(2, count))
    weight = rng.uniform(0.6, 1, (count, 1)).astype(np.float32)
    return normalized(weight * features[pairs[0]] + (1 - weight) * features[pairs[1]])


def opening_s(folder: str) -> float:
    """Return the seconds in which another process opens an index, its imports not counted."""
    command = [sys.executable, "-c", _OPEN, folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(
    factory: str, train: np.ndarray, queries: np.ndarray, runs: int, batch: int, top: int
) -> dict[str, Any]:
    """Compare one kind of index with the peer on queries (runs + batch, d)."""
    peer, asked = torch.from_numpy(train), torch.from_numpy(queries)
    calibrator = Calibrator.from_temperature(TEMPERATURE)
    with tempfile.TemporaryDirectory() as folder:
        blocks = (train[k : k + BLOCK] for k in range(0, len(train), BLOCK))
        building, index = timed(lambda: TrainingIndex.build_from(blocks, factory, count=len(train)))
        index.save(folder)
        stored = sum(path.stat().st_size for path in Path(folder).iterdir())
        index = None
        first, again = opening_s(folder), opening_s(folder)  # the first one reads the whole file to check it
        index = TrainingIndex.load(folder)

        def answer(query: np.ndarray) -> tuple[np.ndarray, Shares]:
            hits = index.search(query, top)
            return hits.ids, calibrator.influence(hits)

        for query in (queries[:1], queries[-batch:]):  # the first search loads what later ones have
            answer(query)
        ours, theirs, width, found, within = [], [], [], 0, 0
        for k in range(runs):
            seconds, (share, order) = timed(lambda k=k: released(peer, asked[k : k + 1]))
            theirs.append(seconds)
            seconds, (ids, shares) = timed(lambda k=k: answer(queries[k : k + 1]))
            ours.append(seconds)
            found += len(set(order[0, :top].tolist()) & set(ids[0].tolist()))
            of_id = np.empty(len(train))
            of_id[order[0].numpy()] = share[0].numpy()
            exact = of_id[ids[0]]
            within += bool(
                (shares.low[0] <= exact * (1 + ROUNDING)).all()
                and (exact <= shares.high[0] * (1 + ROUNDING)).all()
            )
            width.append(float((shares.high[0, 0] - shares.low[0, 0]) / shares.influence[0, 0]))
        batches = [timed(lambda: answer(queries[-batch:]))[0] for _ in range(3)]
    one, peer_one = statistics.median(ours), statistics.median(theirs)
    each = statistics.median(batches) / batch
    return {
        "factory": factory,
        "rows": len(train),
        "dim": train.shape[1],
        "build_s": round(building, 1),
        "first_open_s": round(first, 2),
        "open_s": round(again, 2),
        "bytes_per_value": round(stored / train.size, 2),
        "one_ms": round(1000 * one, 1),
        "batch": batch,
        "batch_each_ms": round(1000 * each, 1),
        "peer_ms": round(1000 * peer_one, 1),
        "times_as_fast": round(peer_one / one, 2),
        "batch_times_as_fast": round(peer_one / each, 2),
        "recall": round(found / (runs * top), 4),
        "intervals_hold": round(within / runs, 4),
        "interval_width": float(f"{statistics.median(width):.2g}"),
    }


def main(
    count: Annotated[float, typer.Option(help="Number of rows, such as 1e6.")] = 1e5,
    dim: Annotated[int, typer.Option(min=2)] = 512,
    factories: Annotated[str, typer.Option(help="Separated by commas.")] = "Flat,SQfp16,SQ8x2,IVF",
    runs: Annotated[int, typer.Option(min=1, help="Single queries.")] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Queries of a batch.")] = 64,
    top: Annotated[int, typer.Option(help="Images to list.")] = 100,
    collection: Annotated[
        Path | None, typer.Option(help="Mix rows from this collection's features, instead of random ones.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Method of the collection.")] = None,
) -> None:
    """Measure each kind of index against the peer."""
    if collection is None:
        blocks = range(0, int(count), BLOCK)
        train = np.concatenate([rows(min(BLOCK, int(count) - k), dim, 1 + k) for k in blocks])
        queries = rows(runs + batch, dim, 0)
    else:
        features = np.concatenate(list(Collection.open(collection, method).index.rows()))
        train, queries = mixed(features, int(count), 1), mixed(features, runs + batch, 0)
    for factory in factories.split(","):
        figures = measure(factory, train, queries, runs, batch, top)
        date = datetime.now(UTC).isoformat(timespec="seconds")
        print(json.dumps(figures | {"date": date, "machine": machine()}), flush=True)


if __name__ == "__main__":
    typer.run(main)
