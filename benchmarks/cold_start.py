"""Measures the seconds from starting the app to its first attributed page: `python -m benchmarks.cold_start --help`.

Each run is a separate process, as when a Space or container wakes up. `answers_s` is when the page loads,
`attributed_s` when the page's first call, made here without a browser, has returned the example's attribution, and
`processor_s` the CPU time until then, which does not depend on the machine's load. Prints one JSON line.
"""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from attribution_core.settings import shipped
from benchmarks.query import machine
from tools.serve import ROOT, serve


def first_page(url: str) -> int:
    """Make the call of an opening page; returns how many training images it lists. Raises `RuntimeError`."""
    with urllib.request.urlopen(f"{url}/config", timeout=300) as answer:
        config: dict[str, Any] = json.load(answer)
    opening = next(call for call in config["dependencies"] if call["api_name"] == "open_page")
    body = json.dumps({"data": [], "fn_index": opening["id"], "session_hash": "cold-start"}).encode()
    request = urllib.request.Request(
        f"{url}/gradio_api/queue/join", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=300).close()
    with urllib.request.urlopen(
        f"{url}/gradio_api/queue/data?session_hash=cold-start", timeout=300
    ) as events:
        for line in events:
            event = json.loads(line[5:]) if line.startswith(b"data:") else {}
            if event.get("msg") == "process_completed":
                values = [
                    value.get("value") if isinstance(value, dict) else value
                    for value in event["output"]["data"]
                ]
                galleries = [
                    value
                    for value in values
                    if isinstance(value, list)
                    and value
                    and isinstance(value[0], dict)
                    and "image" in value[0]
                ]
                if event["success"] and galleries:
                    return max(map(len, galleries))
                break
    raise RuntimeError(
        "the page opened without an attributed example; open the collection with the app to see why."
    )


def main(
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Number of starts, one after another.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Also append the line to this file.")] = None,
) -> None:
    """Start the app a few times and print how long each start took."""
    answers: list[float] = []
    attributed: list[float] = []
    computed: list[float | None] = []
    listed = 0
    for _ in range(runs):
        start = time.perf_counter()
        with serve(collection or shipped("pocket"), ROOT) as served:
            listed = first_page(served.url)
            attributed.append(round(time.perf_counter() - start, 2))
            computed.append(served.computed())
            answers.append(round(served.seconds, 2))
    line = json.dumps(
        {
            "what": "cold start",
            "attributed_s": attributed,
            "attributed_median_s": float(np.median(attributed)),
            "answers_s": answers,
            "processor_s": computed,
            "listed": listed,
            "collection": (collection or shipped("pocket")).name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
        }
    )
    typer.echo(line)
    if out is not None:
        with out.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")


if __name__ == "__main__":
    typer.run(main)
