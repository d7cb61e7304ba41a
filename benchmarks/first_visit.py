"""Measures a first visit to the app in Chromium: `python -m benchmarks.first_visit --help`.

First the seconds from the address to the first influence in sight (the strongest source's picture and share, within the
window), on a desktop and a phone, each in a new browser profile, as a ratio to a bare Gradio page with one image that
is opened in turn. Then, of prompts that people type, the seconds until the page says whose work is in the image, and
what it says. Prints one JSON line per measurement, with machine and date.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import gradio as gr
import typer
from PIL import Image

from attribution_core.settings import shipped
from benchmarks.query import machine, summary
from tools.chromium import chromium
from tools.serve import serve

WINDOWS = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
PROMPTS = (
    "a red bicycle",
    "sad robot",
    "a house",
    "dragon, clip art style",
    "skull, noto style",
    "two cats playing chess",
    "cat",
    "a blue car",
    "birthday cake",
    "rocket in space",
    "an owl",
    "green apple",
    "sunset over the sea",
    "a castle on a hill",
    "guitar",
    "a dog with a hat",
    "snowman",
    "coffee",
    "the Mona Lisa",
    "smiling face",
)
"""Made up in the manner of people who do not know what the generator has learned; newcomers typed the first six."""
_PATIENCE_MS = 120_000
_IN_SIGHT = """() => {
  const first = document.querySelector('#reveal li'), picture = first?.querySelector('img');
  if (!picture?.complete || !picture.naturalWidth) return false;
  const box = first.getBoundingClientRect();
  return box.height > 0 && box.bottom <= innerHeight;
}"""
_ANSWERED = """(prompt) => {
  const text = (id) => document.querySelector(id)?.innerText || '';
  return text('#status').startsWith(`“${prompt}`) && text('#status').includes(' · seed ')
    && text('#reveal h2') && !text('#reveal h2').startsWith('Coming into being');
}"""


@contextmanager
def bare_page() -> Iterator[str]:
    """Serve a Gradio page with one image; yields its address."""
    with gr.Blocks() as page:
        gr.Image(Image.new("RGB", (330, 330), "red"), elem_id="bare")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        yield url
    finally:
        page.close()


def _opened(browser: Any, url: str, window: dict[str, int], shown: str) -> float:
    page = browser.new_context(viewport=window).new_page()  # a new profile: nothing is in its cache
    start = time.perf_counter()
    page.goto(url, timeout=_PATIENCE_MS)
    page.wait_for_function(shown, timeout=_PATIENCE_MS)
    seconds = time.perf_counter() - start
    page.context.close()
    return seconds


def openings(browser: Any, app: str, bare: str, runs: int) -> Iterator[dict[str, Any]]:
    """One row a window: seconds until the first influence is in sight, and of the bare page."""
    image = "() => document.querySelector('#bare img')?.naturalWidth > 0"
    for name, window in WINDOWS.items():
        took: tuple[list[float], list[float]] = ([], [])
        for _ in range(runs):
            took[0].append(_opened(browser, app, window, _IN_SIGHT))
            took[1].append(_opened(browser, bare, window, image))
        ratio = statistics.median(took[0]) / statistics.median(took[1])
        yield {
            "what": f"first influence in sight, {name}",
            "app": summary(took[0]),
            "bare page": summary(took[1]),
            "ratio": round(ratio, 2),
        }


def typed(browser: Any, app: str, prompts: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """One row a prompt, typed into the page as it opens: what the headline says, and after how many seconds."""
    page = browser.new_page(viewport=WINDOWS["desktop"])
    page.goto(app, timeout=_PATIENCE_MS)
    page.wait_for_function(_IN_SIGHT, timeout=_PATIENCE_MS)
    for prompt in prompts:
        page.locator("#prompt textarea").fill(prompt)
        start = time.perf_counter()
        page.keyboard.press("Enter")
        known = prompt.removeprefix("a ").removeprefix("an ").removeprefix("the ")
        page.wait_for_function(_ANSWERED, arg=known, timeout=_PATIENCE_MS)
        yield {
            "what": "typed prompt",
            "prompt": prompt,
            "drawn": page.locator("#status").inner_text(),
            "headline": page.locator("#reveal h2").inner_text(),
            "seconds": round(time.perf_counter() - start, 2),
        }


def main(
    collection: Annotated[
        Path | None, typer.Option(help="Collection folder; default: the pocket collection.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Openings in each window.")] = 5,
) -> None:
    """Measure, and print one JSON line per measurement."""
    with chromium() as browser, serve(collection or shipped("pocket")) as served, bare_page() as bare:
        facts = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
        _opened(browser, served.url, WINDOWS["desktop"], _IN_SIGHT)  # the app, too, is warm then
        for row in openings(browser, served.url, bare, runs):
            print(json.dumps(row | facts), flush=True)
        for row in typed(browser, served.url, PROMPTS):
            print(json.dumps(row | facts, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    typer.run(main)
