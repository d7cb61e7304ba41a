"""Everything of Gradio that this app uses and Gradio does not document, so that an upgrade has one place to look at.

Written for Gradio 6.31; after an upgrade, compare each part with what it replaces:

| here | what it replaces in Gradio |
| --- | --- |
| `use_turns` | `Blocks._queue`, a `gradio.queueing.Queue`: first come, first served and counted, in growing memory |
| `keep_lean_states`, `forget_state`, ... | `App.state_holder`: a copy of the page's configuration for each visit |
| `wrap_calls` | `Blocks.process_api` and `Blocks.preprocess_data`, which every call of a handler goes through |
| `limit_tools` | `Blocks.mcp_server_obj`: a tool for every handler, Python's spelling of values, files kept for good |
| `keep_layers_unopened` | `ImageEditor.preprocess` and `.accept_blobs`: layers decoded unseen, and kept without end |
| `event_data` | `EventData._data`, which its attributes hide where a caller left it out |
| `watch_plot`, `PLOT_CHOICE` | `gr.Plot`, which has no events: `window.Plotly` and its `.js-plotly-plot` |
| `UnknownCall` | `gradio.route_utils.FnIndexInferError`, which is otherwise answered with a traceback |
| `safe_file_name` | `gradio_client.utils.strip_invalid_filename_characters`, as Gradio's own upload names files |
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
from fastapi import HTTPException
from gradio.components.base import server
from gradio.components.image_editor import AcceptBlobs, EditorData
from gradio.queueing import Event, Queue
from gradio.route_utils import FnIndexInferError as UnknownCall
from gradio.server_messages import EstimationMessage
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import run_coro_in_background
from gradio_client.utils import strip_invalid_filename_characters as safe_file_name

from ui.services.background import JOB, Job

__all__ = [
    "PLOT_CHOICE",
    "Call",
    "Turns",
    "UnknownCall",
    "event_data",
    "forget_state",
    "keep_layers_unopened",
    "keep_lean_states",
    "limit_tools",
    "safe_file_name",
    "use_turns",
    "visit_of_call",
    "watch_plot",
    "wrap_calls",
]
_SWEEP_S = 5.0


@dataclass(frozen=True)
class Call:
    """A call of a handler that waits in the queue or is worked on.

    id: its number; "" before it is taken in. visit: whose page made it; None for a call without a page. lane: the
    handler's `concurrency_id`. request: with the caller's address. since: when it was taken in, by `time.monotonic`.
    """

    id: str
    visit: str | None
    lane: str | None
    request: Any
    since: float


class Turns(Protocol):
    """Who may enter the queue, who is next, and whose answer nobody waits for any more."""

    job_seconds: float

    def admit(self, call: Call, waiting: Sequence[Call], running: Sequence[Call]) -> None:
        """Raise `HTTPException` where a call has to wait. waiting, running: the calls of its lane."""

    def expect(self, visit: str) -> None:
        """A call was taken in; its caller will come for the answer. visit: or the number of a call without a page."""

    def choose(self, lane: str | None, waiting: Sequence[Call], running: Sequence[Call]) -> Call | None:
        """Which of a lane's waiting calls, at least one, is next; None where all of them have to wait."""

    def line(self, lane: str | None, waiting: Sequence[Call]) -> list[Call]:
        """A lane's waiting calls in the order of their turns."""

    def is_awaited(self, visit: str) -> bool:
        """Whether anybody waits for the answers of a visit, or of a call without a page."""

    def has_left(self, visit: str) -> bool:
        """Whether what is held of a visit may be forgotten."""

    def sweep(self) -> None:
        """Forget what is over; called every few seconds."""


class _TurnsQueue(Queue):
    """Gradio's queue with the order left to `Turns`, and with memory that does not grow with the calls."""

    def __init__(self, page: gr.Blocks, turns: Turns, handler_limit: int) -> None:
        super().__init__(
            live_updates=True,
            concurrency_count=page.max_threads,
            update_intervals=1,
            max_size=None,
            blocks=page,
            default_concurrency_limit=handler_limit,
        )
        self._turns = turns
        self._answered: set[str] = set()
        self.ANALYTICS_MAX_EVENTS = 1  # nobody looks at them, and their sums are made anew after every call

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Nothing; see above."""
        return {}

    async def push(self, body: Any, request: Any, username: str | None) -> Any:
        """Take a call in. Raises `HTTPException` where its caller, or everybody, has to wait."""
        fn = self.blocks.fns.get(body.fn_index)
        if fn is None:
            raise HTTPException(404, "there is no such call; see the page's 'Use via API'.")
        lane = self.event_queue_per_concurrency_id.get(fn.concurrency_id)
        waiting = [_call(event) for event in lane.queue] if lane is not None else []
        call = Call("", body.session_hash, fn.concurrency_id, request, time.monotonic())
        self._turns.admit(call, waiting, self._running(fn.concurrency_id))
        if isinstance(body.event_data, dict):
            # Handlers ask only where it was clicked; what is shown there is a file, under the name it was shown by.
            body.event_data = {"index": body.event_data.get("index")}
        answer = await super().push(body, request, username)
        self._turns.expect(
            body.session_hash
        )  # which Gradio has set to the call's number where there was none
        return answer

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """The next call of any lane that has room."""
        lanes = list(self.event_queue_per_concurrency_id.items())
        random.shuffle(lanes)
        for name, lane in lanes:
            full = lane.concurrency_limit is not None and lane.current_concurrency >= lane.concurrency_limit
            if full or not lane.queue:
                continue
            events = {event._id: event for event in lane.queue}
            call = self._turns.choose(name, [_call(event) for event in lane.queue], self._running(name))
            if call is not None:
                lane.queue.remove(events[call.id])
                return [events[call.id]], False, name
        return None

    def broadcast_estimations(self, concurrency_id: str, after: int | None = None) -> None:
        """Tell each waiting call of a lane how many are ahead: those that run, and those whose turn is sooner."""
        lane = self.event_queue_per_concurrency_id[concurrency_id]
        events, running = {event._id: event for event in lane.queue}, len(self._running(concurrency_id))
        line = self._turns.line(concurrency_id, [_call(event) for event in events.values()])
        for place, call in enumerate(line, running):
            told = EstimationMessage(rank=place, queue_size=running + len(line))
            self.send_message(events[call.id], told)

    async def process_events(self, events: list[Event], batch: bool, begin_time: float, fn: Any) -> None:
        """Work on a call within its time, and for as long as somebody waits for it."""
        event = events[0]
        seconds = fn.time_limit or self._turns.job_seconds
        JOB.set(Job(seconds, time.monotonic(), lambda: self._is_awaited(event)))
        try:
            await super().process_events(events, batch, begin_time, fn)
        finally:
            self._answered.add(event.session_hash)
            if _call(event).visit is None:
                forget_state(self.blocks, event.session_hash)

    def start(self) -> None:
        """Start to work, and to look for what nobody waits for."""
        super().start()
        run_coro_in_background(self._sweep)

    async def _sweep(self) -> None:
        while not self.stopped:
            await asyncio.sleep(_SWEEP_S)
            for lane in list(self.event_queue_per_concurrency_id.values()):
                for event in list(lane.queue):
                    if not self._is_awaited(event):
                        await self.clean_events(event_id=event._id)
            self._forget_answers()
            for visit in list(self.blocks.state_holder.session_data):
                if self._turns.has_left(visit):
                    forget_state(self.blocks, visit)
            self._turns.sweep()

    def _forget_answers(self) -> None:
        """Answers that nobody came for, and the empty boxes of those that somebody did."""
        active = {event.session_hash for event in self.event_ids_to_events.values()}
        for visit in list(self._answered - active):
            if not self._turns.is_awaited(visit):
                self._answered.discard(visit)
                self.pending_messages_per_session.pop(visit, None)
                self.pending_event_ids_session.pop(visit, None)

    def _is_awaited(self, event: Event) -> bool:
        """Whether anybody waits for a call; nobody does once the app ends."""
        return event.alive and not self.stopped and self._turns.is_awaited(event.session_hash)

    def _running(self, lane: str | None) -> list[Call]:
        return [_call(e) for job in self.active_jobs if job for e in job if e.concurrency_id == lane]


def _call(event: Event) -> Call:
    visit = None if event.session_hash == event._id else event.session_hash
    return Call(event._id, visit, event.concurrency_id, event.request, event.enqueue_time)


def use_turns(page: gr.Blocks, turns: Turns, handler_limit: int) -> None:
    """Let `turns` order the page's queue; before it is launched. handler_limit: calls of a handler without a lane."""
    page.queue(api_open=False)
    page._queue = _TurnsQueue(page, turns, handler_limit)


def visit_of_call(page: gr.Blocks, number: str) -> str:
    """The visit that made a call, by the call's number; the number itself where it is not known any more."""
    event = page._queue.event_ids_to_events.get(number)
    return event.session_hash if event is not None else number


class _LeanState(SessionState):
    """A visit's state without a second copy of the page's configuration.

    Gradio keeps that copy for deep links, which this app does not give out: it costs 30 ms and half a megabyte a visit.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            self.state_data[key] = value
            self._state_ttl[key] = block.time_to_live, datetime.now()
        else:
            limits = getattr(block, "layer_limits", None)
            if limits is not None:  # an update, even one that changes nothing, makes a new component
                keep_layers_unopened(value, *limits)
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Nothing: there is no copy."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing: there is no copy."""


class _LeanStates(StateHolder):
    """The states of all visits, each without a copy of the page's configuration.

    Where there are too many, the one goes that was used longest ago of those whose page is closed: whoever makes up
    visits without end drives out those visits, and not what people look at.
    """

    def __init__(self, is_open: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_open = is_open

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = _LeanState(self.blocks)
        return super().__getitem__(session_id)

    def update(self, session_id: str) -> None:
        """A visit was used last; of too many, one goes."""
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            if len(self.session_data) <= self.capacity:
                return
            others = [visit for visit in list(self.session_data) if visit != session_id]
            dropped = next((visit for visit in others if not self._is_open(visit)), others[0])
            self.session_data.pop(dropped, None)
            self.time_last_used.pop(dropped, None)


def keep_lean_states(page: gr.Blocks, is_open: Callable[[str], bool]) -> None:
    """Keep the states of visits small, from now on; for a page that is served. is_open: whether a visit's page is."""
    page.app.state_holder = _LeanStates(is_open)
    page.app.state_holder.set_blocks(page)


def forget_state(page: gr.Blocks, visit: str) -> None:
    """Forget all that is held of a visit."""
    page.state_holder.session_data.pop(visit, None)
    page.state_holder.time_last_used.pop(visit, None)


def wrap_calls(
    page: gr.Blocks,
    check: Callable[[str, list[Any], list[Any], bool], list[Any]],
    refuse: Callable[[Exception], Exception],
    report: Callable[[Exception], Exception],
) -> None:
    """Put checks around every call of a handler, from the page, the API or MCP.

    Args:
        page: Before it is launched.
        check: (visit, input components, values, whether the call begins) -> the values to go on with; the visit is ""
            for a call without a page.
        refuse: What to raise for a value that a component cannot read.
        report: What to raise for any other error of a call.
    """
    process, preprocess = page.process_api, page.preprocess_data

    async def process_api(block_fn: Any, inputs: list[Any], *given: Any, **named: Any) -> dict[str, Any]:
        fn = page.fns[block_fn] if isinstance(block_fn, int) else block_fn
        session, event = named.get("session_hash"), named.get("event_id")
        # The queue gives the number of the event to a call without a page.
        visit = "" if session is None or session == event else session
        try:
            inputs = check(visit, fn.inputs, inputs, named.get("iterator") is None)
            return await process(block_fn, inputs, *given, **named)
        except Exception as error:
            raise report(error) from error

    async def preprocess_data(*given: Any, **named: Any) -> list[Any]:
        try:
            return await preprocess(*given, **named)
        except (gr.Error, ValueError, TypeError, KeyError, AttributeError) as error:
            raise refuse(error) from error

    page.process_api = process_api  # type: ignore[method-assign]
    page.preprocess_data = preprocess_data  # type: ignore[method-assign]


def limit_tools(
    page: gr.Blocks,
    names: Sequence[str],
    as_output: Callable[[list[Any]], list[Any]],
    as_file: Callable[[Any], Any],
) -> None:
    """Leave the MCP server of a launched page, where it has one, only some of its tools.

    Args:
        page: Once launched.
        names: API names of the handlers that stay tools.
        as_output: What a handler gave -> what Gradio makes the answer of a tool of.
        as_file: An image as it comes in -> an uploaded file; Gradio would store it for good, or fetch an address.
    """
    server: Any = page.mcp_server_obj
    if server is None:
        return
    server.tool_to_endpoint = {
        tool: endpoint for tool, endpoint in server.tool_to_endpoint.items() if endpoint.lstrip("/") in names
    }
    contents = server.postprocess_output_data

    def postprocess_output_data(data: list[Any], root_url: str) -> Any:
        return contents(as_output(data), root_url)

    def convert_strings_to_filedata(value: dict[str, Any], places: list[list[str | int]]) -> dict[str, Any]:
        files = {str(name): as_file(value[str(name)]) for name, *_ in places if name in value}
        return {**value, **files}

    server.postprocess_output_data = postprocess_output_data
    server.convert_strings_to_filedata = convert_strings_to_filedata


def keep_layers_unopened(editor: gr.ImageEditor, most_layers: int, most_painters: int) -> None:
    """Let an editor hand over its layers unopened, as bytes or paths, so that they are checked before they are decoded.

    most_layers: of one picture. most_painters: pictures that are kept until a handler asks; of more, the oldest go.
    """
    accept = editor.accept_blobs
    indices = {"null", *map(str, range(most_layers))}

    def preprocess(payload: EditorData | None) -> list[bytes | Path]:
        if payload is None:
            return []
        if payload.id is not None:
            kept = editor.blob_storage.pop(payload.id, None)
            return [layer for layer in kept.layers if layer] if kept else []
        return [Path(layer.path) for layer in payload.layers if layer and layer.path]

    @server
    def accept_blobs(data: AcceptBlobs) -> None:
        sent = data.data
        is_known = isinstance(sent.get("id"), str) and sent.get("type") in (
            "background",
            "composite",
            "layer",
        )
        if not (
            is_known and data.files and len(sent["id"]) <= 64 and str(sent.get("index") or "0") in indices
        ):
            raise HTTPException(400, "what was painted could not be read; reload the page and paint again.")
        accept(data)
        while len(editor.blob_storage) > most_painters:
            editor.blob_storage.pop(next(iter(editor.blob_storage)))

    # On the instance: Gradio writes a stub file beside the source of every subclass.
    editor.preprocess = preprocess
    editor.accept_blobs = accept_blobs
    editor.layer_limits = (most_layers, most_painters)


def event_data(event: gr.EventData) -> Any:
    """What a caller says of a click, unchecked; None where a handler is called without one."""
    return vars(event).get("_data")


PLOT_CHOICE = "(chosen, ...rest) => [window.plotChoice ?? '', ...rest]"
"""In place of the first input: what was chosen on a plot that `watch_plot` watches."""


def watch_plot(plot: str, choose: str, most: int = 200) -> str:
    """A script for after a figure was drawn: clicks on its points, and outlines around some, press a button.

    What was chosen is then given by `PLOT_CHOICE`, as JSON of a list of [x, y]. With a mouse, dragging outlines; on a
    touch screen it scrolls the page.

    plot, choose: ids of a `gr.Plot` and a button. most: corners of an outline; of more, every second or third.
    """
    return f"""async () => {{
  let plot = null;
  for (let tries = 0; tries < 200; tries++) {{
    plot = document.querySelector('#{plot} .js-plotly-plot');
    if (plot?.on && window.Plotly && !plot.dataset.watched) break;
    await new Promise((go) => setTimeout(go, 50));
  }}
  if (!plot?.on || plot.dataset.watched) return;
  plot.dataset.watched = 'yes';
  const choose = (corners) => {{
    window.plotChoice = JSON.stringify(corners.map((place) => place.map((value) => Math.round(value))));
    document.getElementById('{choose}').click();
  }};
  plot.on('plotly_click', ({{points}}) => {{ if (points.length) choose([[points[0].x, points[0].y]]); }});
  plot.on('plotly_selected', (chosen) => {{
    const {{x, y}} = chosen?.lassoPoints ?? {{x: [], y: []}};
    const every = Math.ceil(x.length / {most});
    if (x.length > 2) choose(x.map((value, k) => [value, y[k]]).filter((_, k) => k % every === 0));
  }});
  if (matchMedia('(hover: hover)').matches) window.Plotly.relayout(plot, {{dragmode: 'lasso'}});
}}"""
