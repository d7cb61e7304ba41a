"""Measures the speed of a query against a peer in the same run: `python -m benchmarks.query --help`.

The peer does what the paper's released demo does, in NumPy: compare the query with all features, take the softmax over
all of them, and sort them all. Both alternate on the same query vectors, so that other load slows both equally. Prints
one JSON line per measurement, with the machine and date.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tools.chromium import chromium
from tools.serve import serve

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("query", "generate", "app")
app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, load and versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next(
            (
                line.split(":", 1)[1].strip()
                for line in info.read_text().splitlines()
                if line.startswith("model name")
            ),
            cpu,
        )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "faiss-cpu", "diffusers", "gradio")},
    }


def summary(seconds: list[float]) -> dict[str, Any]:
    """Return the median and spread in milliseconds."""
    low, middle, high = np.percentile(np.array(seconds) * 1000, [10, 50, 90])
    return {
        "median_ms": round(middle, 2),
        "p10_ms": round(low, 2),
        "p90_ms": round(high, 2),
        "runs": len(seconds),
    }


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call took, and its result."""
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def exhaustive(features: np.ndarray, query: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the peer's answer: the softmax over all similarities, sorted. Returns (ids, influences), descending."""
    similarity = features @ query
    scaled = similarity / temperature
    share = np.exp(scaled - scaled.max())
    share /= share.sum()
    order = np.argsort(-share, kind="stable")
    return order, share[order]


def measure_query(say: Callable[..., None], collection_path: Path, runs: int, top: int) -> None:
    """Time encoding, search and scoring separately, and the peer's search and scoring on the same vectors."""
    from attribution_core import Attributor, Collection, Corpus

    opening, collection = timed(lambda: Collection.open(collection_path))
    say("open a collection", seconds=round(opening, 3), images=len(collection.index))
    attributor = Attributor(collection, device="cpu")
    loading, encoder = timed(lambda: attributor.encoder)
    say("load the encoder", seconds=round(loading, 3), encoder=encoder.name)
    queries = Corpus.open(collection.layout.corpus, split="exemplars")
    images = [queries.image(int(k)) for k in np.linspace(0, len(queries) - 1, runs).astype(int)]
    corpus, temperature = collection.corpus, collection.calibrator.temperature_
    encoding, raw = timed(lambda: encoder.encode([corpus.image(i) for i in range(len(corpus))]))
    say("encode the training set", seconds=round(encoding, 1), images_per_s=round(len(corpus) / encoding, 1))
    features = collection.mappers.map_training(raw)
    attributor.attribute(images[0], top=top)  # warm
    times: dict[str, list[float]] = {name: [] for name in ("encode", "search", "score", "whole", "peer")}
    same, worst, inside = 0, 0.0, True
    for image in images:
        seconds, vector = timed(lambda image=image: collection.mappers.map_query(encoder.encode([image])))
        times["encode"].append(seconds)
        seconds, hits = timed(lambda vector=vector: collection.index.search(vector, top))
        times["search"].append(seconds)
        seconds, shares = timed(lambda hits=hits: collection.calibrator.influence(hits))
        times["score"].append(seconds)
        seconds, (order, share) = timed(lambda vector=vector: exhaustive(features, vector[0], temperature))
        times["peer"].append(seconds)
        seconds, _ = timed(lambda image=image: attributor.attribute(image, top=top))
        times["whole"].append(seconds)
        of_id = np.empty(len(share))
        of_id[order] = share
        same += len(set(order[:top].tolist()) & set(hits.ids[0].tolist()))
        worst = max(worst, float(np.abs(of_id[hits.ids[0]] - shares.influence[0]).max()))
        inside &= bool(shares.rest_low[0] - 1e-3 <= share[top:].sum() <= shares.rest_high[0] + 1e-3)
    for name in ("encode", "search", "score"):
        say(name, **summary(times[name]))
    say(
        "search and score",
        peer=summary(times["peer"]),
        ours=summary([a + b for a, b in zip(times["search"], times["score"], strict=True)]),
        peer_is="NumPy: all similarities, softmax over all, full sort; no intervals",
    )
    say("attribute, the whole", **summary(times["whole"]), top=top)
    say(
        "agreement with the peer",
        same_images=f"{same} of {runs * top}",
        largest_difference_of_influence=worst,
        rest_within_interval=inside,
        stored_bytes=sum(p.stat().st_size for p in collection.layout.index().glob("*.faiss")),
        peer_bytes=int(features.nbytes),
    )


def measure_generation(say: Callable[..., None], collection_path: Path, runs: int) -> None:
    """Seconds for one image with the generator's own steps and guidance, and with 25 steps, after a first one."""
    from attribution_core.collection.layout import CollectionLayout
    from attribution_core.generation.generator import Generator

    folder = CollectionLayout(collection_path).generator
    loading, generator = timed(lambda: Generator.open(folder, device="cpu").load())
    say("load the generator", seconds=round(loading, 2))
    first, _ = timed(lambda: generator.generate("red apple, noto style", seed=0))
    for steps in (generator.defaults.steps, 25):
        times = [
            timed(lambda k=k, n=steps: generator.generate("red apple, noto style", k, n))[0]
            for k in range(runs)
        ]
        say(
            "generate",
            first_s=round(first, 2),
            **summary(times),
            steps=steps,
            guidance=generator.defaults.guidance,
        )


def measure_app(say: Callable[..., None], collection_path: Path) -> None:
    """Time from the command to the first answer, and to a page whose images are visible in Chromium."""
    with serve(collection_path) as served:
        seen = _first_gallery(served.url)
    say(
        "app start",
        answers_s=round(served.seconds, 2),
        usable_page_s=None if seen is None else round(served.seconds + seen, 2),
        browser="Chromium, headless",
    )


def _first_gallery(url: str) -> float | None:
    if shutil.which("chromium") is None:
        return None
    with chromium() as browser:
        page = browser.new_page()
        start = time.perf_counter()
        page.goto(url)
        page.get_by_role("tab").first.wait_for()
        page.locator("img:visible").first.wait_for()
        return time.perf_counter() - start


@app.command()
def main(
    collection: Annotated[Path, typer.Option(help="Collection folder.")] = ROOT / "checkpoints/pocket",
    runs: Annotated[int, typer.Option(help="Number of queries; a tenth as many images are generated.")] = 50,
    top: Annotated[int, typer.Option(help="Number of training images to list.")] = 100,
    part: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(PARTS)}; default: all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also append the lines to this file.")] = None,
) -> None:
    """Run the benchmarks and print JSON lines."""
    facts, date = machine(), datetime.now(UTC).isoformat(timespec="seconds")

    def say(what: str, **figures: Any) -> None:
        line = json.dumps({"what": what, **figures, "date": date, "machine": facts})
        typer.echo(line)
        if out is not None:
            with out.open("a", encoding="utf-8") as handle:
                handle.write(line + "\n")

    if wrong := set(part or PARTS) - set(PARTS):
        raise typer.BadParameter(f"unknown part {sorted(wrong)}; known: {', '.join(PARTS)}")
    if "query" in (part or PARTS):
        measure_query(say, collection, runs, top)
    if "generate" in (part or PARTS):
        measure_generation(say, collection, max(3, runs // 10))
    if "app" in (part or PARTS):
        measure_app(say, collection)


if __name__ == "__main__":
    app()
