"""Load test with many simultaneous visitors on this machine: `python -m benchmarks.load --help`.

Starts the app as a user does. Each visitor opens the page, keeps its heartbeat, uploads and attributes an image as the
page does, pauses, and starts over; one in ten also generates an image. Stops after `--minutes` and prints one JSON
line: answers by kind of call and outcome, p50 and p95 in seconds, memory over time, and files left behind.
"""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from PIL import Image

from attribution_core.settings import shipped
from benchmarks.query import machine
from tools.serve import Served, serve

META = {"_type": "gradio.FileData"}
PATIENCE_S = 300.0


class Load:
    """Measurements of all visitors. seconds: of answers, by kind of call. outcomes: counts by kind and outcome."""

    def __init__(self, web: httpx.AsyncClient, config: dict[str, Any], ends: float, think_s: float) -> None:
        self.web, self.ends, self.think_s = web, ends, think_s
        self.calls = {one["api_name"]: one for one in config["dependencies"] if one["api_name"]}
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.outcomes: Counter[tuple[str, str]] = Counter()

    async def visit(self, number: int) -> None:
        """Simulate one visitor until the end, who closes the page after every image."""
        chance = np.random.default_rng(number)
        await asyncio.sleep(chance.uniform(0, self.think_s))
        while time.monotonic() < self.ends:
            await self.once(chance, draws=0.1)
            left_s = max(0.0, self.ends - time.monotonic())
            await asyncio.sleep(min(chance.exponential(self.think_s), left_s))

    async def once(self, chance: np.random.Generator, draws: float) -> None:
        """Open the page, attribute an image, generate one with probability `draws`, and close the page."""
        name = secrets.token_hex(8)
        heart = asyncio.create_task(self._heartbeat(name))
        try:
            await self._timed("open", name, "open_page", [])
            file = await self.upload(chance)
            began = time.monotonic()
            read = await self._ask(name, "read_upload", [file])
            outcome = await self._ask(name, self._after("read_upload"), []) if read == "answered" else read
            self._count("attribute", outcome, began)
            if chance.random() < draws and "generate" in self.calls:
                prompt = ["red heart, fluent style", int(chance.integers(1e6)), 10, 3.0]
                await self._timed("generate", name, "generate", prompt)
        except (httpx.HTTPError, ValueError, IndexError) as error:
            self.outcomes["any", type(error).__name__] += 1
        finally:
            heart.cancel()

    async def call(self, chance: np.random.Generator) -> None:
        """Attribute an image through the documented API."""
        try:
            file, began = await self.upload(chance), time.monotonic()
            job = await self.web.post("/gradio_api/call/attribute_image", json={"data": [file, 10, ""]})
            answer = await self.web.get(f"/gradio_api/call/attribute_image/{job.json()['event_id']}")
            self._count("call", "answered" if "event: complete" in answer.text else "error", began)
        except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
            self.outcomes["any", type(error).__name__] += 1

    async def upload(self, chance: np.random.Generator) -> dict[str, Any]:
        """Upload a new random image; returns it in the form that the page passes to handlers."""
        buffer = io.BytesIO()
        pixels = chance.integers(0, 255, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((256, 256)).save(buffer, "PNG")
        answer = await self.web.post("/gradio_api/upload", files={"files": ("a.png", buffer.getvalue())})
        return {"path": answer.json()[0], "meta": META}

    def latencies(self) -> dict[str, Any]:
        """Return the number of answers by kind, with p50 and p95 in seconds."""
        return {
            kind: {
                "answered": len(seconds),
                "p50_s": round(float(np.percentile(seconds, 50)), 3),
                "p95_s": round(float(np.percentile(seconds, 95)), 3),
            }
            for kind, seconds in self.seconds.items()
        }

    def counts(self) -> dict[str, int]:
        """Return the number of calls by kind and outcome."""
        return {f"{kind} {outcome}": count for (kind, outcome), count in sorted(self.outcomes.items())}

    async def _timed(self, kind: str, visit: str, call: str, data: list[Any]) -> None:
        began = time.monotonic()
        self._count(kind, await self._ask(visit, call, data), began)

    def _count(self, kind: str, outcome: str, began: float) -> None:
        self.outcomes[kind, outcome] += 1
        if outcome == "answered":
            self.seconds[kind].append(time.monotonic() - began)

    def _after(self, name: str) -> str:
        """Return the name of the call that attributes the result of another."""
        number = self.calls[name]["id"]
        return next(
            one["api_name"]
            for one in self.calls.values()
            if one["trigger_after"] == number and one["api_name"].startswith("attribute_after")
        )

    async def _heartbeat(self, visit: str) -> None:
        async with self.web.stream("GET", f"/gradio_api/heartbeat/{visit}") as beats:
            async for _ in beats.aiter_bytes():
                pass

    async def _ask(self, visit: str, call: str, data: list[Any]) -> str:
        """Call a handler as the page does. Returns "answered", "busy" or "error"."""
        about = self.calls[call]
        values = data + [None] * (len(about["inputs"]) - len(data))
        body = {"fn_index": about["id"], "data": values, "session_hash": visit}
        joined = await self.web.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            return "busy" if joined.status_code in (429, 503) else "error"
        async with self.web.stream("GET", f"/gradio_api/queue/data?session_hash={visit}") as lines:
            async for line in lines.aiter_lines():
                event = json.loads(line[6:]) if line.startswith("data: ") else {}
                if event.get("msg") == "process_completed":
                    return "answered" if event["success"] else "error"
        return "error"


async def _all(served: Served, visitors: int, minutes: float, think_s: float) -> tuple[Load, list[float]]:
    limits = httpx.Limits(max_connections=4 * visitors, max_keepalive_connections=visitors)
    async with httpx.AsyncClient(base_url=served.url, timeout=PATIENCE_S, limits=limits) as web:
        config = (await web.get("/config")).json()
        load = Load(web, config, time.monotonic() + 60 * minutes, think_s)
        tasks = [asyncio.create_task(load.visit(number)) for number in range(visitors)]
        memory = []
        while time.monotonic() < load.ends:
            memory.append(megabytes(served.process))
            await asyncio.sleep(max(1.0, 6 * minutes))
        await asyncio.wait(tasks, timeout=PATIENCE_S)
        await asyncio.sleep(5)  # gives the app time to clean up closed visits
        return load, [*memory, megabytes(served.process)]


def megabytes(process: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


def uploads_in(folder: str) -> int:
    """Count the visitors' files in the app's temporary folder."""
    return sum(1 for path in Path(folder).rglob("*") if path.is_file() and "uploads-" in str(path))


def main(
    collection: Annotated[
        Path | None, typer.Option(help="Collection; default: the pocket collection.")
    ] = None,
    visitors: Annotated[int, typer.Option(min=1, max=200)] = 50,
    minutes: Annotated[float, typer.Option(min=0.1, max=30)] = 10,
    think: Annotated[float, typer.Option(help="Mean seconds between two images of a visitor.")] = 10,
    short: Annotated[bool, typer.Option("--short", help="10 visitors for half a minute.")] = False,
) -> None:
    """Run the load test and print one JSON line."""
    if short:
        visitors, minutes, think = 10, 0.5, 3
    with tempfile.TemporaryDirectory() as folder:
        with serve(collection or shipped("pocket"), environment={"GRADIO_TEMP_DIR": folder}) as served:
            load, memory = asyncio.run(_all(served, visitors, minutes, think))
            left = uploads_in(folder)
        after = sum(1 for path in Path(folder).rglob("*"))
    print(
        json.dumps(
            {
                "visitors": visitors,
                "minutes": minutes,
                "seconds": load.latencies(),
                "outcomes": load.counts(),
                "memory_mb": memory,
                "uploads_left": left,
                "files_after_the_end": after,
                "machine": machine(),
            }
        )
    )


if __name__ == "__main__":
    typer.run(main)
