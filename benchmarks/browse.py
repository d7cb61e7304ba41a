"""Measures whether large training sets browse as smoothly as small ones: `python -m benchmarks.browse --help`.

Makes two synthetic collections of the drawings that ship, with captions and thumbnails, the larger one by repeating
them under other names and makers. Starts the app over each, opens the tab Training set of both in Chromium, and
alternates between them, so that other load slows both equally. Times are from a visitor's action until every picture of
the new page is loaded. Prints one JSON line per action, with the ratio of the medians, the machine and date.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.corpus.corpus import TEXT_COLUMNS, Corpus
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.settings import shipped
from benchmarks.query import machine, summary
from benchmarks.stores import rows as clustered_rows
from tools.chromium import chromium
from tools.serve import serve

_ENCODER, _DIM = "pocket-clip", 256
_WORDS = ("rabbit", "house", "tree", "car", "star", "clock", "canine", "timepiece", "flower", "horse")
_PATIENCE_MS = 120_000
_LOADED = """(before) => {
  const all = [...document.querySelectorAll('#set-grid .thumbnail-item img')];
  return all.length && all[0].src !== before && all.every((one) => one.complete && one.naturalWidth);
}"""
_FOLLOW = """(href) => {
  const link = Object.assign(document.createElement('a'), {href});
  document.body.append(link);
  link.click();
  link.remove();
}"""


def _rows(source: Corpus, count: int) -> Iterator[dict[str, Any]]:
    """The source's images over and over, each time by other makers."""
    columns = {name: source.column(name) for name in TEXT_COLUMNS}
    pictures = [source.image_bytes(k) for k in range(len(source))]
    for k in range(count):
        again, at = divmod(k, len(source))
        row: dict[str, Any] = {name: values[at] for name, values in columns.items()}
        if again:
            row |= {"id": f"{row['id']}-{again}", "creator": f"{row['creator']} {again}"}
        yield {**row, "image": {"bytes": pictures[at], "path": ""}}


def make(folder: Path, source: Corpus, count: int) -> Path:
    """Make a collection of `count` images; its features are random, which takes no other time to search."""
    Corpus.write(CollectionLayout(folder).corpus / "train-0.parquet", _rows(source, count))
    features, calibrator = clustered_rows(count, _DIM, 1), Calibrator.from_temperature(0.05, _ENCODER)
    Collection.create(folder, name=f"{count:,}", encoder=_ENCODER, features=features, calibrator=calibrator)
    return folder


def _timed(page: Any, act: Callable[[], Any]) -> float:
    before = page.evaluate("document.querySelector('#set-grid .thumbnail-item img')?.src || ''")
    start = time.perf_counter()
    act()
    page.wait_for_function(_LOADED, arg=before, timeout=_PATIENCE_MS)
    return time.perf_counter() - start


def _search(page: Any, word: str) -> None:
    page.locator("#set-words textarea, #set-words input").first.fill(word)
    page.keyboard.press("Enter")


def measure(pages: list[Any], source: Corpus, runs: int) -> Iterator[tuple[str, list[list[float]]]]:
    """Yield each action with the seconds that it took on each page."""
    makers, ids = sorted({name for name in source.column("creator") if name}), source.column("id")

    def place(name: str, values: list[str]) -> Callable[[Any, int], Any]:
        return lambda page, k: page.evaluate(
            _FOLLOW, f"?tab=training-set&{name}={quote(values[k * 7 % len(values)], safe='')}"
        )

    def click_tab(page: Any, _: int) -> None:
        page.locator("#tabs > .tab-wrapper").get_by_role("tab", name="Training set", exact=True).click()

    actions: dict[str, tuple[int, Callable[[Any, int], Any]]] = {
        "open the tab": (1, click_tab),
        "next page": (runs, lambda page, _: page.locator("#set-after").click()),
        "search by a word": (runs, lambda page, k: _search(page, _WORDS[k % len(_WORDS)])),
        "more like an image": (runs, place("like", ids)),
        "all by a maker": (runs, place("maker", makers)),
    }
    for name, (times, act) in actions.items():
        took: list[list[float]] = [[] for _ in pages]
        for k in range(times):
            for page, seconds in zip(pages, took, strict=True):
                page.bring_to_front()
                seconds.append(_timed(page, lambda page=page, k=k, act=act: act(page, k)))
        yield name, took


def main(
    count: Annotated[int, typer.Option(min=1, help="Images of the larger collection.")] = 100_000,
    runs: Annotated[int, typer.Option(min=1, help="Repetitions of each action, at most 10.")] = 10,
) -> None:
    """Measure, and print one JSON line per action."""
    source = Corpus.open(CollectionLayout(shipped("pocket")).corpus)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        paths = [make(Path(folder) / str(n), source, n) for n in (len(source), count)]
        with serve(paths[0]) as small, serve(paths[1]) as large:
            pages = [browser.new_page() for _ in (small, large)]
            for page, served in zip(pages, (small, large), strict=True):
                page.goto(served.url, timeout=_PATIENCE_MS)
                page.get_by_role("tab", name="Training set", exact=True).wait_for(timeout=_PATIENCE_MS)
            facts, date = machine(), datetime.now(UTC).isoformat(timespec="seconds")
            for name, (few, many) in measure(pages, source, min(runs, 10)):
                ratio = statistics.median(many) / statistics.median(few)
                each = {f"{len(source):,} images": summary(few), f"{count:,} images": summary(many)}
                line = {"what": name, **each, "ratio": round(ratio, 2), "date": date, "machine": facts}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    typer.run(main)
