"""Part of the tab Generate: many images at once, in files or a ZIP file, as tables by image and by maker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gradio as gr

from attribution_core.common.progress import Progress
from attribution_core.common.text import one_line, rounded_percent, share_words
from attribution_core.errors import InvalidInputError
from attribution_core.reports.batch.json_ld import batch_json_ld
from attribution_core.reports.batch.page import batch_page
from attribution_core.reports.batch.row import BatchRow, CopyCheck
from attribution_core.reports.batch.summary import BatchSummary
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION
from ui.services.app import Services
from ui.services.batch import Batch, BatchServices
from ui.session import KEEP_S, Session, as_file
from ui.widgets.lazy_download import made_on_click
from ui.widgets.status import progress_bar, status_line

WHAT = (
    "Drop up to {images:,} images, or a ZIP file of them: each file up to {file:,} MB, all of them up to {mb:,} MB. "
    "Each gets a row: its strongest works, and whether it is a copy. Shares are summed by maker over all of them."
)
CLAIM = "A model trained on these training images made them all"
FILES: tuple[tuple[str, str, str, Callable[[BatchSummary], str]], ...] = (
    ("By image (CSV)", "batch_images_csv", "images.csv", BatchSummary.images_csv),
    ("By image (JSON lines)", "batch_images_jsonl", "images.jsonl", BatchSummary.images_jsonl),
    ("By maker (CSV)", "batch_makers_csv", "makers.csv", BatchSummary.makers_csv),
    ("Page (HTML)", "batch_page", "batch.html", batch_page),
    ("JSON-LD", "batch_json_ld", "images.jsonld", batch_json_ld),
)
"""Label, name, file name and content of each download."""
_BEGUN = "Begun. The first images are attributed as soon as the server is free ..."
_IMAGES = ["image", "share", "copy", "strongest work", "found"]
_WIDTHS = ["18%", "14%", "11%", "25%", "32%"]
_MAKERS = ["maker", "mean share", "sum of shares", "images", "copies"]


def build(services: Services, session: Session) -> None:
    """Draw the fold and wire it."""
    own = BatchServices(services, services.uploads.folder)
    kept = gr.State(None, time_to_live=KEEP_S)
    settings = services.settings
    with gr.Accordion("Many images at once", open=False, elem_id="batch-fold"):
        what = WHAT.format(images=settings.batch_images, file=settings.max_upload_mb, mb=settings.batch_mb)
        gr.HTML(status_line(what))
        files = gr.File(
            label="Images, or a ZIP file of them",
            file_count="multiple",
            file_types=["image", ".zip"],
            elem_id="batch-files",
            height=150,
        )
        claim = gr.Checkbox(False, label=CLAIM, elem_id="batch-claim")
        with gr.Row(elem_id="batch-row"):
            start = gr.Button("Attribute all", variant="primary", elem_id="batch-start", min_width=140)
            stop = gr.Button("Stop", elem_id="batch-stop", scale=0, min_width=76)
        status = gr.HTML(elem_id="batch-status")
        with gr.Column(visible=False, elem_id="batch-result") as result:
            words = gr.HTML(elem_id="batch-words")
            images = gr.Dataframe(
                headers=_IMAGES,
                datatype="str",
                interactive=False,
                elem_id="batch-images",
                column_widths=_WIDTHS,
                wrap=True,
                max_height=420,
                show_search="filter",
            )
            means = gr.HTML(elem_id="batch-means")
            makers = gr.Dataframe(
                headers=_MAKERS,
                datatype=["str", "str", "number", "number", "number"],
                interactive=False,
                elem_id="batch-makers",
                max_height=420,
            )
            with gr.Row(elem_id="batch-downloads"):
                for label, name, file, text in FILES:
                    made_on_click(
                        label,
                        _download(file, text),
                        [kept],
                        elem_id=name.replace("_", "-"),
                        api_name=name,
                        scale=0,
                        min_width=210,
                        size="md",
                    )
    shown = [status, result, words, images, means, makers]

    @handler
    def attribute_many(
        paths: list[str] | None, said_so: bool, method: str | None, earlier: Batch | None
    ) -> Iterator[list[Any]]:
        yield [gr.skip(), status_line("Reading the images ..."), *[gr.skip()] * (len(shown) - 1)]
        with closing(own.ask(paths, method, said_so, earlier)) as batches:
            for batch in batches:
                yield [batch, *_drawn(batch)]

    @handler
    def batch_stopped(earlier: Batch | None) -> str:
        return status_line(_stopped(earlier))

    quiet: dict[str, Any] = {"queue": False, "api_visibility": "undocumented", "show_progress": "hidden"}
    # Before what it waits for: Gradio runs a click's events one after the other.
    start.click(None, None, status, js=f"() => {json.dumps(status_line(_BEGUN, waiting=True))}", **quiet)
    running = start.click(
        attribute_many,
        [files, claim, session.method, kept],
        [kept, *shown],
        api_name="attribute_many",
        api_visibility="undocumented",
        show_progress="hidden",
        **ATTRIBUTION,
    )
    running.failure(batch_stopped, kept, status, api_name="batch_failed", **quiet)
    stop.click(None, cancels=[running], queue=False).then(
        batch_stopped, kept, status, api_name="batch_stopped", **quiet
    )


def _download(file: str, text: Callable[[BatchSummary], str]) -> Callable[..., str]:
    @handler
    def download(kept: Batch | None) -> str:
        if kept is None:
            raise InvalidInputError("there is nothing to save yet; attribute some images first.")
        return as_file(text(kept.summary).encode(), file)

    return download


def _stopped(batch: Batch | None) -> str:
    if batch is None:
        return ""
    if batch.is_complete:
        return _done(batch)
    return (
        f"Stopped after {len(batch.summary.rows):,} of {batch.total:,} images; what is done stays. Attribute all goes "
        "on from there."
    )


def _done(batch: Batch) -> str:
    return f"Done: {batch.total:,} image{'s' * (batch.total != 1)}."


def _drawn(batch: Batch) -> list[Any]:
    """Values of the status, the box, and what is in it."""
    summary = batch.summary
    done = len(summary.rows)
    if batch.is_complete:
        status = status_line(_done(batch))
    else:
        status = progress_bar(Progress(f"{done:,} of {batch.total:,} images", done, batch.total))
    left = [f"{name}: {reason}" for name, reason in summary.unread[:10]]
    unread = [f"Not read: {'; '.join(map(one_line, left))}."] if left else []
    return [
        status,
        gr.update(visible=True),
        "".join(status_line(words) for words in (summary.sentence, summary.copy_how, *unread) if words),
        [_image(row) for row in summary.rows],
        status_line(summary.sum_means),
        [
            [m.name, rounded_percent(m.mean), round(m.influence, 2), m.images, m.copies]
            for m in summary.makers
            if m.copies or round(m.mean, 3)
        ],
    ]


def _image(row: BatchRow) -> list[str]:
    name = one_line(row.name)
    if row.problem:
        return [name, "", "", "", one_line(f"Not attributed: {row.problem}")]
    first = row.works[0]
    share = share_words(first.influence, first.low, first.high)
    if not row.has_shares:
        share = f"similarity {first.similarity:.2f}"
    found = f"The same file as {row.same_as}, counted once. {row.headline}" if row.same_as else row.headline
    work = ", ".join(filter(None, (first.caption or first.id, first.creator)))
    return [name, share, _copy(row.copy), one_line(work), one_line(found)]


def _copy(check: CopyCheck | None) -> str:
    """Several training images that look alike are said, as it need not be a copy of the nearest."""
    if check is None or check.is_copy is None:
        return ""
    if not check.is_copy:
        return "no"
    return "copy" if check.matches == 1 else f"copy ({check.matches} as close)"
