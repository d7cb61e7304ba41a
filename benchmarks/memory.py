"""Checks whether the app's memory grows with the number of calls: `python -m benchmarks.memory --help`.

Starts the app as a user does. Makes calls of the documented API one after another, each with a new image, then visits
that open the page, attribute an image and close the page. Prints one JSON line: resident memory at the start and after
every tenth of the calls and visits, answers, and files left behind.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer

from attribution_core.settings import shipped
from benchmarks.load import PATIENCE_S, Load, megabytes, uploads_in
from benchmarks.query import machine
from tools.serve import Served, serve


async def _all(served: Served, calls: int, visits: int) -> dict[str, Any]:
    chance = np.random.default_rng(0)
    async with httpx.AsyncClient(base_url=served.url, timeout=PATIENCE_S) as web:
        load = Load(web, (await web.get("/config")).json(), ends=0, think_s=0)
        memory = {
            "at_the_start": megabytes(served.process),
            "after_calls": await _repeat(partial(load.call, chance), calls, served.process),
            "after_visits": await _repeat(partial(load.once, chance, draws=0), visits, served.process),
        }
        await asyncio.sleep(5)  # gives the app time to clean up closed visits
        return {"memory_mb": memory, "seconds": load.latencies(), "outcomes": load.counts()}


async def _repeat(act: Callable[[], Awaitable[None]], count: int, process: int) -> dict[int, float]:
    """Repeat an action `count` times; returns the memory in MB after each tenth, by the number of repetitions."""
    marks, memory = {round(count * k / 10) for k in range(1, 11)}, {}
    for number in range(1, count + 1):
        await act()
        if number in marks:
            memory[number] = megabytes(process)
    return memory


def main(
    collection: Annotated[
        Path | None, typer.Option(help="Collection; default: the pocket collection.")
    ] = None,
    calls: Annotated[int, typer.Option(min=10, help="Calls of the documented API.")] = 1000,
    visits: Annotated[int, typer.Option(min=10, help="Visits of the page.")] = 100,
) -> None:
    """Measure the memory and print one JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        with serve(collection or shipped("pocket"), environment={"GRADIO_TEMP_DIR": folder}) as served:
            told = asyncio.run(_all(served, calls, visits))
            left = uploads_in(folder)
        after = sum(1 for path in Path(folder).rglob("*"))
    print(json.dumps({**told, "uploads_left": left, "files_after_the_end": after, "machine": machine()}))


if __name__ == "__main__":
    typer.run(main)
