"""What the tabs share in one visit: the query, its attribution, and how each tab draws them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio.processing_utils import save_bytes_to_cache

from attribution_core.errors import AttributionError, InvalidInputError
from attribution_core.results import Attribution
from ui.services import LOG, Query, Services

KEEP_S = 3600
"""Seconds that what a visit holds outlives its last use."""
LEDGER = 100
"""Attributions that a visit remembers at most; of more, the latest."""
COMPUTE: dict[str, Any] = {"concurrency_id": "compute", "concurrency_limit": 1}
"""One lane for everything that keeps the processor or the GPU busy."""
_UNEXPECTED = "Something went wrong on the server; it was logged. Try again, or with another image."


@dataclass(frozen=True)
class View:
    """What one tab draws. render: (query, result) -> one value or update for each of `outputs`."""

    outputs: list[Any]
    render: Callable[[Query | None, Attribution | None], list[Any]]


class Session:
    """The states of one visit and the views that are drawn from them; made inside `gr.Blocks`.

    made: the image that is about to be attributed. query, result: what the views show. method: which of the
    collection's methods attributes. ledger: all that was attributed in this visit, oldest first. tab: the one that is
    being built.
    """

    tab: gr.Tab

    def __init__(self, services: Services) -> None:
        """services: the library side, shared by all visits."""
        self.services = services
        self.made, self.query, self.result = (gr.State(None, time_to_live=KEEP_S) for _ in range(3))
        self.ledger = gr.State([], time_to_live=KEEP_S)
        self.method = gr.State(services.collection.method, time_to_live=KEEP_S)
        self._views: list[View] = []
        self._carriers: list[Any] = []

    def add_view(self, outputs: list[Any], render: Callable[[Query | None, Attribution | None], list[Any]]) -> None:
        """Draw these components again whenever another image is attributed."""
        self._views.append(View(outputs, render))

    def attribute_after(self, event: Any) -> None:
        """Attribute what is in `made` after this event, and draw all views."""
        self._carriers.append(event)

    def connect(self, page: gr.Blocks) -> None:
        """Wire views and events, once all tabs are built; the page opens on the stored example."""

        def draw(query: Query | None, result: Attribution | None) -> list[Any]:
            return [query, result, *(value for view in self._views for value in view.render(query, result))]

        @shown_errors
        def open_page() -> list[Any]:
            return draw(*(self.services.first or (None, None)))

        @shown_errors
        def attribute_query(made: Query | None, method: str | None, before: Query | None,
                            ledger: list[Attribution] | None) -> list[Any]:
            if made is None:
                raise gr.Error("There is no image yet; generate or upload one.", title="Nothing to attribute")
            result = self.services.attribute(made, method)
            # The same image again, by another method say, counts once.
            earlier = (ledger or [])[:-1] if made == before else ledger or []
            return [[*earlier, result][-LEDGER:], *draw(made, result)]

        outputs = [self.query, self.result, *(component for view in self._views for component in view.outputs)]
        page.load(open_page, None, outputs, api_name="open_page", api_visibility="undocumented",
                  show_progress="hidden")
        asked = [self.made, self.method, self.query, self.ledger]
        for number, event in enumerate(self._carriers, 1):
            event.success(attribute_query, asked, [self.ledger, *outputs], api_name=f"attribute_after_{number}",
                          api_visibility="undocumented", show_progress="minimal", **COMPUTE)


def shown_errors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a user's mistake into a toast of one sentence; log anything else and say so without its details."""

    def toast(error: Exception) -> gr.Error:
        if isinstance(error, gr.Error):
            return error
        if isinstance(error, AttributionError):
            words = str(error)
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
