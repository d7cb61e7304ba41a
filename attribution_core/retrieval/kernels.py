"""Compiled loops of search over rows in two 8-bit planes, run on all processor cores.

Compiled by Numba on first use, and kept on disk. The threads are Python's, which the loops leave alone: Numba's own
end the process when two searches run at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import faiss
import numba
import numpy as np
from numpy.typing import NDArray

FINE = 254
"""Fine units of a coarse one."""
_FINE_UNIT = np.float32(1 / FINE)
_PIECE = 8192  # rows that a thread takes at a time
_ANY_ORDER = {"reassoc", "contract", "nsz"}  # of sums, so that they are computed in vectors

Kernel = TypeVar("Kernel", bound=Callable[..., None])
Int8 = NDArray[np.int8]
Float32 = NDArray[np.float32]


def compiled(kernel: Kernel) -> Kernel:
    """Compile a loop, and keep it on disk where that is possible."""
    options: dict[str, Any] = {"nogil": True, "fastmath": _ANY_ORDER}
    try:
        fast: Kernel = numba.njit(cache=True, **options)(kernel)
    except RuntimeError:  # neither this folder nor the user's cache can be written
        fast = numba.njit(**options)(kernel)
    return fast


@compiled
def _products(
    coarse: Int8,
    fine: Int8,
    step: Float32,
    queries: Float32,
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    place: NDArray[np.int64],
    out: Float32,
) -> None:
    d = queries.shape[1]
    block = np.empty((4, d), np.float32)  # so many rows for every load of a query
    for part in range(len(start)):
        for first in range(start[part], stop[part], 4):
            rows = min(4, stop[part] - first)
            for i in range(rows):
                for k in range(d):
                    block[i, k] = (
                        np.float32(coarse[first + i, k]) + np.float32(fine[first + i, k]) * _FINE_UNIT
                    )
            here = place[part] + first - start[part]
            for q in range(len(queries)):
                s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for k in range(d):
                    value = queries[q, k]
                    s0 += block[0, k] * value
                    s1 += block[1, k] * value
                    s2 += block[2, k] * value
                    s3 += block[3, k] * value
                out[q, here] = s0 * step[first]
                if rows > 1:
                    out[q, here + 1] = s1 * step[first + 1]
                if rows > 2:
                    out[q, here + 2] = s2 * step[first + 2]
                if rows > 3:
                    out[q, here + 3] = s3 * step[first + 3]


@compiled
def _products_of_one(
    coarse: Int8,
    fine: Int8,
    step: Float32,
    queries: Float32,
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    place: NDArray[np.int64],
    out: Float32,
) -> None:
    """Do the same for a single query, as fast as the rows can be read from memory."""
    for part in range(len(start)):
        for row in range(start[part], stop[part]):
            whole, rest = np.float32(0), np.float32(0)
            for k in range(queries.shape[1]):
                whole += np.float32(coarse[row, k]) * queries[0, k]
                rest += np.float32(fine[row, k]) * queries[0, k]
            out[0, place[part] + row - start[part]] = (whole + rest * _FINE_UNIT) * step[row]


@compiled
def _histogram(
    values: Float32, least: float, width: float, count: NDArray[np.int64], total: NDArray[np.float64]
) -> None:
    last = len(count) - 1
    for value in values:
        place = min(int((value - least) / width), last)
        count[place] += 1
        total[place] += value


def products(
    coarse: Int8,
    fine: Int8,
    step: Float32,
    queries: Float32,
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> Float32:
    """Return the inner products of queries (q, d) with parts of the rows, (q, m), one part after another.

    coarse, fine, step: of `Planes`. start, stop: (p,) of each part.
    """
    size = stop - start
    place = np.cumsum(size) - size
    out = np.empty((len(queries), int(size.sum())), np.float32)
    loop = _products_of_one if len(queries) == 1 else _products
    cuts = np.flatnonzero(np.diff(place // _PIECE, prepend=-1))  # first parts of pieces of about equal size

    def one(piece: int) -> None:
        parts = slice(cuts[piece], cuts[piece + 1] if piece + 1 < len(cuts) else None)
        loop(coarse, fine, step, queries, start[parts], stop[parts], place[parts], out)

    on_all_cores(one, len(cuts))
    return out


def histogram(
    values: Float32, least: float, width: float, bins: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return number and sum of the values (n,) in each of `bins` bins of a width, from `least` up."""
    count, total = np.zeros(bins, np.int64), np.zeros(bins, np.float64)
    _histogram(values, least, width, count, total)
    return count, total


def parts_of(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return start and stop of parts of n rows, for `products`."""
    start = np.arange(0, n, _PIECE)
    return start, np.minimum(start + _PIECE, n)


def on_all_cores(work: Callable[[int], None], pieces: int) -> None:
    """Call `work` with 0..pieces - 1 on all cores. Raises the first of its errors."""
    threads = min(pieces, faiss.omp_get_max_threads())
    if threads < 2:
        for piece in range(pieces):
            work(piece)
        return
    with ThreadPoolExecutor(threads) as pool:  # made anew, because a forked process would lack its threads
        for _ in pool.map(work, range(pieces)):
            pass
