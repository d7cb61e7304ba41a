"""What the tabs share in one visit: the query, its attribution, and how each tab draws them."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from attribution_core.attribution.result import Attribution
from attribution_core.errors import AttributionError, InvalidInputError
from attribution_core.reports.section import Section
from ui.gradio_compat import event_data, forget_state
from ui.handler import as_words, handler, is_number
from ui.server.gate import VISIT
from ui.server.lanes import ATTRIBUTION, VIEWS
from ui.services.app import Query, Services
from ui.services.folder import private_folder
from ui.services.judged import Judged, judge, keep
from ui.services.link import Link, read_link
from ui.services.visit import Seen, remember
from ui.widgets.joined import joined_boxes
from ui.widgets.under_way import begins, ends

_Follower = tuple[Callable[..., Any], list[Any], list[Any], dict[str, Any]]
KEEP_S = 3600
"""Seconds that what a visit holds outlives its last use."""


@dataclass(frozen=True)
class View:
    """What one tab draws. render: (query, result) -> one value or update for each of `outputs`."""

    outputs: list[Any]
    render: Callable[[Query | None, Attribution | None], list[Any]]


@dataclass(frozen=True)
class VisitView:
    """What one part of the page draws of all that was attributed. render: visit -> one value for each of `outputs`."""

    outputs: list[Any]
    render: Callable[[list[Seen]], list[Any]]


class Session:
    """The states of one visit and the views that are drawn from them; made inside `gr.Blocks`.

    made: the image that is about to be attributed. query, result: what the views show. method: which of the
    collection's methods attributes, a choice that the tab Attribution shows. ledger: all that was attributed in this
    visit, oldest first. link: the recipe that the page's own address asked for. extra_sections: what tabs add to the
    report of one query, title -> (query, section). judged: what is known of the visit's images beside their
    influences. verdict_boxes: where the joined verdict on the image in sight stands. fields: prompt, seed, steps and
    guidance. strip: the pictures of the visit. tabs: the one that is being built, and the one around it where there is
    one.
    """

    tabs: tuple[gr.Tab, ...]
    fields: list[Any]
    strip: gr.Gallery

    def __init__(self, services: Services) -> None:
        """services: the library side, shared by all visits."""
        self.services = services
        self.made, self.query, self.result, self.link = (
            gr.State(None, time_to_live=KEEP_S) for _ in range(4)
        )
        self.ledger = gr.State([], time_to_live=KEEP_S)
        self.extra_sections = gr.State({}, time_to_live=KEEP_S)
        self.judged = gr.State([], time_to_live=KEEP_S)
        self.verdict_boxes = [
            gr.HTML(elem_id=name, render=False) for name in ("headline", "memorization-verdict")
        ]
        methods = services.collection.methods
        self.method = gr.Dropdown(
            list(methods),
            value=services.collection.method,
            label="Encoder and mappers",
            elem_id="method",
            scale=3,
            min_width=240,
            visible=len(methods) > 1,
            render=False,
        )
        self._views: list[View] = []
        self._first_page: tuple[float, list[Any]] | None = None
        self._visit_views: list[VisitView] = []
        self._carriers: list[tuple[Any, str]] = []
        self._returns: list[Any] = []
        self.report_sections: list[Callable[[Query, Judged], Section | None]] = []
        self._leavers: list[Callable[[str], None]] = []
        self._followers: list[_Follower] = []
        self._after_verdict: list[_Follower] = []
        self.add_view(
            self.verdict_boxes,
            lambda query, result: list(joined_boxes(query, result, pending=services.copies.is_quick)),
        )

    def add_view(
        self, outputs: list[Any], render: Callable[[Query | None, Attribution | None], list[Any]]
    ) -> None:
        """Draw these components again whenever another image is attributed."""
        self._views.append(View(outputs, render))

    def add_visit_view(self, outputs: list[Any], render: Callable[[list[Seen]], list[Any]]) -> None:
        """Draw these components again whenever the visit remembers one more."""
        self._visit_views.append(VisitView(outputs, render))

    def draw_after(self, event: Any) -> None:
        """Draw all views after this event, from what it put into `query` and `result`."""
        self._returns.append(event)

    def add_report_section(self, make: Callable[[Query, Judged], Section | None]) -> None:
        """Put a section into the report of a query; None where there is nothing to say of it."""
        self.report_sections.append(make)

    def on_open(
        self, show: Callable[..., Any], inputs: list[Any], outputs: list[Any], **options: Any
    ) -> None:
        """Run `show` when the tab that is being built comes into sight.

        A part of a tab comes into sight with the tab around it, too, where it is the part that was chosen before; a
        part that is chosen next has an event of its own.
        """
        own, *around = self.tabs
        own.select(show, inputs, outputs, **options)
        in_sight = gr.Checkbox(True, visible=False)

        @handler
        def when_in_sight(*values: Any) -> Any:
            *given, seen = values
            return show(*given) if seen else gr.skip()  # of all outputs

        for tab in around:
            look = f"""(...values) => [...values.slice(0, -1), document.querySelector(
  '#{tab.id}-parts > .tab-wrapper [role=tab][aria-selected=true]')?.dataset.tabId === '{own.id}']"""
            tab.select(when_in_sight, [*inputs, in_sight], outputs, js=look, **options)

    def on_leave(self, leave: Callable[[str], None]) -> None:
        """Call this with the visit's number when its page is closed or loaded again."""
        self._leavers.append(leave)

    def follow_return(
        self, handler: Callable[..., Any], inputs: list[Any], outputs: list[Any], **options: Any
    ) -> None:
        """Run this, too, when an earlier image was brought back; for what is no view."""
        self._followers.append((handler, inputs, outputs, options))

    def follow_verdict(
        self, handler: Callable[..., Any], inputs: list[Any], outputs: list[Any], **options: Any
    ) -> None:
        """Run this whenever another image came into sight and was judged. options: an api_name, which gets a number."""
        self._after_verdict.append((handler, inputs, outputs, options))

    def attribute_after(self, event: Any, key: str = "") -> None:
        """Attribute what is in `made` after this event, and draw all views.

        key: of `under_way.begins`, which the event runs where its image counts as under way from its start.
        """
        if key:
            event.failure(None, js=ends(key))
        self._carriers.append((event, key or f"after {len(self._carriers)}"))

    def connect(self, page: gr.Blocks) -> None:
        """Wire views and events, once all tabs are built; the page opens on the stored example."""

        def draw(query: Query | None, result: Attribution | None) -> list[Any]:
            return [query, result, *(value for view in self._views for value in view.render(query, result))]

        @handler
        def open_page(request: gr.Request) -> list[Any]:
            link: Link | None = None
            try:
                link = read_link(dict(request.query_params), self.services)
            except AttributionError as error:
                gr.Warning(
                    f"The link asks for what cannot be made: {as_words(error)}", title="Link left aside"
                )
            return [link, *(draw(None, None) if link or self.services.first is None else first_page())]

        def first_page() -> list[Any]:
            """The page on its first example, which is the same for all: drawn once in a while."""
            if self._first_page is None or time.monotonic() > self._first_page[0] + KEEP_S / 2:
                own = VISIT.set("")  # the files to download belong to nobody's visit
                try:
                    self._first_page = time.monotonic(), draw(*(self.services.first or (None, None)))
                finally:
                    VISIT.reset(own)
            return [dict(value) if isinstance(value, dict) else value for value in self._first_page[1]]

        @handler
        def draw_again(query: Query | None, result: Attribution | None) -> list[Any]:
            return draw(query, result)[2:]

        @handler
        def attribute_query(made: Query | None, method: str | None, ledger: list[Seen] | None) -> list[Any]:
            if made is None:
                raise gr.Error("There is no image yet; generate or upload one.", title="Nothing to attribute")
            result = self.services.attribute(made, method)
            visit = remember(ledger or [], made, result, method or self.services.collection.method)
            drawn = [value for view in self._visit_views for value in view.render(visit)]
            return [visit, *drawn, *draw(made, result)]

        @handler
        def join_verdict(
            query: Query | None, result: Attribution | None, judged: list[Judged] | None
        ) -> list[Any]:
            if query is None or result is None:
                return [gr.skip()] * (1 + len(self.verdict_boxes))
            known = keep(judged, judge(self.services, query, judged))
            return [known, *joined_boxes(query, result, known)]

        def then_judge(drawn: Any, number: int) -> None:
            """A verdict on copies takes longer than the views, which are there first."""
            told = drawn.success(
                join_verdict,
                [self.query, self.result, self.judged],
                [self.judged, *self.verdict_boxes],
                api_name=f"join_verdict_{number}",
                api_visibility="undocumented",
                show_progress="hidden",
                **VIEWS,
            )
            for follow, inputs, outputs, options in self._after_verdict:
                numbered = {**options, "api_name": f"{options['api_name']}_{number}"}
                told.success(follow, inputs, outputs, **numbered)

        def close_page(request: gr.Request) -> None:
            visit = request.session_hash or ""
            self.services.uploads.leave(visit)
            for leave in self._leavers:
                leave(visit)
            shutil.rmtree(files_of(visit), ignore_errors=True)
            forget_state(page, visit)

        page.unload(close_page)
        shown = [component for view in self._views for component in view.outputs]
        outputs = [self.query, self.result, *shown]
        visit = [self.ledger, *(component for view in self._visit_views for component in view.outputs)]
        opened = page.load(
            open_page,
            None,
            [self.link, *outputs],
            api_name="open_page",
            api_visibility="undocumented",
            show_progress="hidden",
        )
        then_judge(opened, 0)
        asked = [self.made, self.method, self.ledger]
        for number, (event, key) in enumerate(self._carriers, 1):
            attributed = event.success(
                attribute_query,
                asked,
                [*visit, *outputs],
                js=begins(key),
                api_name=f"attribute_after_{number}",
                api_visibility="undocumented",
                show_progress="minimal",
                **ATTRIBUTION,
            )
            attributed.success(None, js=ends(key))
            attributed.failure(None, js=ends(key))
            then_judge(attributed, number)
        for number, event in enumerate(self._returns, 1):
            drawn = event.success(
                draw_again,
                [self.query, self.result],
                shown,
                api_name=f"draw_after_{number}",
                api_visibility="undocumented",
                show_progress="hidden",
            )
            then_judge(drawn, len(self._carriers) + number)
            for follow, inputs, targets, options in self._followers:
                drawn.success(follow, inputs, targets, **options)


def as_file(data: bytes, name: str) -> str:
    """A file for download, which goes when the visit does."""
    folder = files_of(VISIT.get()) / secrets.token_hex(8)
    folder.mkdir(mode=0o700, parents=True)
    (folder / name).write_bytes(data)
    return str(folder / name)


def files_of(visit: str) -> Path:
    """The folder of what a visit may download; of calls without a page, one for all."""
    name = hashlib.sha256(visit.encode()).hexdigest()[:32] if visit else "calls"
    return private_folder() / "visits" / name


def sweep_files() -> None:
    """Delete what visits left that ended otherwise than by closing their page."""
    old = time.time() - KEEP_S
    for folder in (private_folder() / "visits").glob("*/*"):
        if folder.stat().st_mtime < old:
            shutil.rmtree(folder, ignore_errors=True)


def place(number: float, event: gr.EventData, count: int) -> int:
    """Which of `count` things was chosen, from 1: what was clicked, or the number where nothing was."""
    at = clicked(event)
    if not at:
        return checked_place(number, count)
    return checked_place(at[0] + 1 if len(at) == 1 else None, count)


def clicked(event: gr.EventData) -> list[float]:
    """What was clicked: one number, or two of a point; none where a handler is called through the API, without a click.

    Raises `InvalidInputError` for anything else that a caller says of it.
    """
    data = event_data(event)
    if not data:
        return []
    at = data.get("index") if isinstance(data, dict) else None
    numbers: list[Any] = at if isinstance(at, list) else [at]
    if not 1 <= len(numbers) <= 2 or not all(is_number(one) for one in numbers):
        raise InvalidInputError("what was clicked has no place; choose one of those that are shown.")
    return numbers


def checked_place(number: Any, count: int) -> int:
    """A place from 1 to `count`. Raises `InvalidInputError` for anything else."""
    if not isinstance(number, (int, float)) or not 1 <= number <= count:
        raise InvalidInputError(f"number {number} is not on the list; choose one from 1 to {count}.")
    return int(number)


def image_file(**options: Any) -> gr.Image:
    """An image input that hands over the file's path unopened, so that the library checks it before decoding.

    What comes with no path is no upload, and is not decoded by Gradio either.
    """
    component = gr.Image(**options)
    # On the instance: Gradio writes a stub file beside the source of every subclass.
    component.preprocess = lambda payload: None if payload is None else payload.path
    return component
