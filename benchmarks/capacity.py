"""Estimates what search over very many images would take, from parts measured here: `python -m benchmarks.capacity`.

For each number of rows it says how many machines hold them, and for `IVF` on each: bytes, hours to build, milliseconds
of a query, and the width of an influence's interval, relative to it. Time comes from rates measured on this machine
with rows like those of `benchmarks.scale`: of the compiled products, of the comparison with all cells' means, of the
bounds, and of FAISS's assignment to cells. The width comes from the library's own interval for cells like the measured
ones, as many and as large as at that number of rows. Nothing of that size is run: disks, networks and merging the
machines' answers are not in the figures. Prints JSON lines.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

import numpy as np
import typer

from attribution_core.retrieval import kernels
from attribution_core.retrieval.cells import ROUNDS, SAMPLED, TRAINED_ON, Cells, CellScan
from attribution_core.retrieval.planes import Planes
from attribution_core.retrieval.rest import Rest
from benchmarks.query import machine, timed
from benchmarks.scale import BLOCK, TEMPERATURE
from benchmarks.stores import rows

RUNS = 15
QUERIES = 20
TOP = 100


@dataclass(frozen=True)
class Measured:
    """Rates of this machine, and what the cells look like.

    row_s: seconds to multiply a row. mean_s: seconds to compare a query with a cell's mean. cell_s: seconds to bound a
    cell's sum. product_s: seconds of k-means for a row and a cell. probed: cells that a query scans to list `TOP` rows,
    the median. mean, spread: (QUERIES, c) of the similarities in each cell that is not scanned. radius: (QUERIES, c)
    bound of their distance from the mean. scanned: (QUERIES,) log of the mean weight of a scanned row.
    """

    row_s: float
    mean_s: float
    cell_s: float
    product_s: float
    probed: int
    mean: np.ndarray
    spread: np.ndarray
    radius: np.ndarray
    scanned: np.ndarray


def median_s(call: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median seconds of a call."""
    call()
    return float(np.median([timed(call)[0] for _ in range(runs)]))


def measure(count: int, dim: int) -> Measured:
    """Divide `count` rows into cells, and time the parts."""
    import faiss

    planes = Planes.empty(dim)
    planes.reserve(count)
    for k in range(0, count, BLOCK):
        planes.add(rows(min(BLOCK, count - k), dim, 1 + k))
    cells = Cells.divide(planes)
    queries = rows(QUERIES, dim, 0)
    parts = kernels.parts_of(count)
    row_s = median_s(lambda: cells.rows.similarities(queries[:1], *parts)) / count
    mean_s = median_s(lambda: queries[:1] @ cells.mean.T) / len(cells.size)
    some = cells.rows.take(slice(0, 20_000)).floats()
    index = faiss.IndexFlatIP(dim)
    index.add(cells.mean)
    product_s = median_s(lambda: index.search(some, 1), 3) / (len(some) * len(cells.size))
    scores = cells.rows.similarities(queries, *parts).astype(np.float64)
    mean = np.add.reduceat(scores, cells.start[:-1], axis=1) / cells.size
    square = np.add.reduceat(scores**2, cells.start[:-1], axis=1) / cells.size
    weight = np.add.reduceat(np.exp(scores / TEMPERATURE), cells.start[:-1], axis=1)
    searched = CellScan(cells.rows, cells).search(queries, TOP, bins=1)
    probed = int(np.median((searched.rest.count[:, 1:] == 0).sum(axis=1)))
    order = np.argsort(-mean, axis=1)
    near, far = order[:, :probed], order[:, probed:]
    scanned = np.log(np.take_along_axis(weight, near, 1).sum(axis=1) / cells.size[near].sum(axis=1))
    mean, square = np.take_along_axis(mean, far, 1), np.take_along_axis(square, far, 1)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    found = Measured(row_s, mean_s, 0.0, product_s, probed, mean, spread, cells.radius[far], scanned)
    some_cells = _rest(found, 0, 4000, 250)
    cell_s = median_s(lambda: some_cells.log_sum_exp(TEMPERATURE)) / 4000
    return replace(found, cell_s=cell_s)


def _rest(found: Measured, query: int, cells: int, size: int) -> Rest:
    """Return what a query finds in so many cells of a size that are otherwise like the measured ones."""
    rng = np.random.default_rng(query)
    like = rng.integers(found.mean.shape[1], size=cells)
    mean, radius = found.mean[[query]][:, like], found.radius[[query]][:, like]
    owner = np.repeat(np.arange(cells), SAMPLED)
    sample = mean[0, owner] + found.spread[query, like][owner] * rng.standard_normal(len(owner))
    low, high = np.maximum(mean - radius, -1), np.minimum(mean + radius, 1)
    return Rest.from_cells(
        np.full((1, cells), size),
        mean,
        np.clip(sample, low[0, owner], high[0, owner])[None],
        owner,
        low,
        high,
    )


def estimate(count: int, dim: int, memory: float, found: Measured) -> dict[str, float]:
    """Return what one machine of several would do for `count` rows. memory: bytes of rows that one holds."""
    bytes_a_row = 2 * dim + 4 + 8
    machines = max(1, math.ceil(count * bytes_a_row / memory))
    here = math.ceil(count / machines)
    cells = max(found.probed + 1, round(here**0.5))
    size = max(SAMPLED, round(here / cells))
    query = (found.probed * size + SAMPLED * cells) * found.row_s + cells * (found.mean_s + found.cell_s)
    build = (here + ROUNDS * min(here, TRAINED_ON * cells)) * cells * found.product_s
    widths = []
    for k in range(QUERIES):
        low, _, high = _rest(found, k, cells - found.probed, size).log_sum_exp(TEMPERATURE)
        scanned = found.scanned[k] + np.log(found.probed * size)
        widths.append(float((np.logaddexp(scanned, high) - np.logaddexp(scanned, low))[0]))
    return {
        "rows": count,
        "machines": machines,
        "rows_each": here,
        "cells_each": cells,
        "gigabytes_each": round(here * bytes_a_row / 1e9, 2),
        "build_hours_each": round(build / 3600, 2),
        "query_ms": round(1000 * query, 1),
        "exact_query_ms": round(1000 * here * found.row_s, 1),
        # Independent sums of about equal size: the relative error of their total shrinks with the root of their number.
        "interval_width": float(f"{np.median(widths) / machines**0.5:.2g}"),
    }


def main(
    counts: Annotated[str, typer.Option(help="Separated by commas.")] = "1e6,1e7,1e8,5e9",
    measured: Annotated[float, typer.Option(help="Rows that are really searched.")] = 1e6,
    dim: Annotated[int, typer.Option(min=2)] = 512,
    memory: Annotated[float, typer.Option(help="Gigabytes of rows that one machine holds.")] = 64,
) -> None:
    """Measure the parts and print an estimate for each number of rows."""
    found = measure(int(measured), dim)
    rates = {name: float(f"{value:.3g}") for name, value in asdict(found).items() if name.endswith("_s")}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    rates["probed"] = found.probed
    print(json.dumps({"measured": int(measured), "dim": dim, **rates, "date": date, "machine": machine()}))
    for count in counts.split(","):
        print(json.dumps(estimate(int(float(count)), dim, memory * 1e9, found)), flush=True)


if __name__ == "__main__":
    typer.run(main)
