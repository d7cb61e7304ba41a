"""What the tabs share in one visit: the query, its attribution, and how each tab draws them."""

from __future__ import annotations

import functools
import html
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio.processing_utils import save_bytes_to_cache

from attribution_core.attribution.result import Attribution
from attribution_core.errors import AttributionError, InvalidInputError
from attribution_core.reports.section import Section
from ui.services.app import LOG, Query, Services
from ui.services.link import Link, read_link
from ui.services.visit import Seen, remember
from ui.widgets.under_way import begins, ends

KEEP_S = 3600
"""Seconds that what a visit holds outlives its last use."""
COMPUTE: dict[str, Any] = {"concurrency_id": "compute", "concurrency_limit": 1}
"""One lane for everything that keeps the processor or the GPU busy."""
_UNEXPECTED = "Something went wrong on the server; it was logged. Try again, or with another image."


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
    visit, oldest first. link: the recipe that the page's own address asked for. told: what tabs add to the report of
    one query, title -> (query, section). fields: prompt, seed, steps and guidance. strip: the pictures of the visit.
    tab: the one that is being built.
    """

    tab: gr.Tab
    fields: list[Any]
    strip: gr.Gallery

    def __init__(self, services: Services) -> None:
        """services: the library side, shared by all visits."""
        self.services = services
        self.made, self.query, self.result, self.link = (
            gr.State(None, time_to_live=KEEP_S) for _ in range(4)
        )
        self.ledger = gr.State([], time_to_live=KEEP_S)
        self.told = gr.State({}, time_to_live=KEEP_S)
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
        self._visit_views: list[VisitView] = []
        self._carriers: list[tuple[Any, str]] = []
        self._returns: list[Any] = []
        self.report_sections: list[Callable[[Query], Section | None]] = []
        self._leavers: list[Callable[[str], None]] = []
        self._followers: list[tuple[Callable[..., Any], list[Any], list[Any], dict[str, Any]]] = []

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

    def add_report_section(self, make: Callable[[Query], Section | None]) -> None:
        """Put a section into the report of a query; None where there is nothing to say of it."""
        self.report_sections.append(make)

    def on_leave(self, leave: Callable[[str], None]) -> None:
        """Call this with the visit's number when its page is closed or loaded again."""
        self._leavers.append(leave)

    def follow_return(
        self, handler: Callable[..., Any], inputs: list[Any], outputs: list[Any], **options: Any
    ) -> None:
        """Run this, too, when an earlier image was brought back; for what is no view."""
        self._followers.append((handler, inputs, outputs, options))

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

        @shown_errors
        def open_page(request: gr.Request) -> list[Any]:
            link: Link | None = None
            try:
                link = read_link(dict(request.query_params), self.services)
            except AttributionError as error:
                gr.Warning(
                    f"The link asks for what cannot be made: {_as_words(error)}", title="Link left aside"
                )
            first = None if link else self.services.first
            return [link, *draw(*(first or (None, None)))]

        @shown_errors
        def draw_again(query: Query | None, result: Attribution | None) -> list[Any]:
            return draw(query, result)[2:]

        @shown_errors
        def attribute_query(made: Query | None, method: str | None, ledger: list[Seen] | None) -> list[Any]:
            if made is None:
                raise gr.Error("There is no image yet; generate or upload one.", title="Nothing to attribute")
            result = self.services.attribute(made, method)
            visit = remember(ledger or [], made, result, method or self.services.collection.method)
            drawn = [value for view in self._visit_views for value in view.render(visit)]
            return [visit, *drawn, *draw(made, result)]

        def close_page(request: gr.Request) -> None:
            for leave in self._leavers:
                leave(request.session_hash or "")

        page.unload(close_page)
        shown = [component for view in self._views for component in view.outputs]
        outputs = [self.query, self.result, *shown]
        visit = [self.ledger, *(component for view in self._visit_views for component in view.outputs)]
        page.load(
            open_page,
            None,
            [self.link, *outputs],
            api_name="open_page",
            api_visibility="undocumented",
            show_progress="hidden",
        )
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
                **COMPUTE,
            )
            attributed.success(None, js=ends(key))
            attributed.failure(None, js=ends(key))
        for number, event in enumerate(self._returns, 1):
            drawn = event.success(
                draw_again,
                [self.query, self.result],
                shown,
                api_name=f"draw_after_{number}",
                api_visibility="undocumented",
                show_progress="hidden",
            )
            for handler, inputs, targets, options in self._followers:
                drawn.success(handler, inputs, targets, **options)


def shown_errors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a user's mistake into a toast of one sentence; log anything else and say so without its details."""

    def toast(error: Exception) -> gr.Error:
        if isinstance(error, gr.Error):
            return error
        if isinstance(error, AttributionError):
            words = _as_words(error)
            return gr.Error(words[:1].upper() + words[1:], title="That did not work", print_exception=False)
        LOG.error("unexpected error", exc_info=error)
        return gr.Error(_UNEXPECTED, title="Unexpected error", print_exception=False)

    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*arguments: Any) -> Iterator[Any]:
            try:
                yield from handler(*arguments)
            except Exception as error:
                raise toast(error) from error

        return stream

    @functools.wraps(handler)
    def call(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except Exception as error:
            raise toast(error) from error

    return call


def _as_words(error: Exception) -> str:
    """Toasts read HTML, and an error may quote a stranger's file name or link."""
    return html.escape(str(error), quote=False)


def as_file(component: Any, data: bytes, name: str) -> str:
    """A file for download, in the cache that the app empties."""
    return save_bytes_to_cache(data, name, component.GRADIO_CACHE)


def place(number: float, event: gr.EventData, count: int) -> int:
    """Which of `count` things was chosen, from 1: what was clicked, or the number where nothing was."""
    clicked = vars(event).get("_data")  # None where the handler is called through the API, without a click
    chosen = clicked["index"] + 1 if clicked else number
    return checked_place(chosen, count)


def checked_place(number: Any, count: int) -> int:
    """A place from 1 to `count`. Raises `InvalidInputError` for anything else."""
    if not isinstance(number, (int, float)) or not 1 <= number <= count:
        raise InvalidInputError(f"number {number} is not on the list; choose one from 1 to {count}.")
    return int(number)


def image_file(**options: Any) -> gr.Image:
    """An image input that hands over the file's path unopened, so that the library checks it before decoding."""
    component = gr.Image(**options)
    decode = component.preprocess

    def preprocess(payload: ImageData | None) -> Any:
        return payload.path if payload is not None and payload.path else decode(payload)

    # On the instance: Gradio writes a stub file beside the source of every subclass.
    component.preprocess = preprocess
    return component
