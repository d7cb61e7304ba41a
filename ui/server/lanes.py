"""Who is next: lanes for long and short work, a fair turn for every visitor, and an end for work nobody waits for."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException
from gradio.queueing import Event, Queue
from gradio.utils import run_coro_in_background

from attribution_core.settings import Settings
from ui.gradio_compat import forget_state, visits_with_state
from ui.services.background import JOB, Job

GENERATION: dict[str, Any] = {"concurrency_id": "generation", "concurrency_limit": 1}
"""The lane of everything that draws or learns: one at a time, as there is one generator."""
ATTRIBUTION: dict[str, Any] = {"concurrency_id": "attribution", "concurrency_limit": 3}
"""The lane of what a visitor asks of images that are there; it never waits for one that is drawn.

Several at once, of several visitors: most of an answer is drawing it, which leaves the second core idle.
"""
VIEWS: dict[str, Any] = {"concurrency_id": "views", "concurrency_limit": 1}
"""The lane of what the page itself asks after an image was attributed, several things at once."""
_LANES = {"generation", "attribution", "views"}
_VIEWS_AT_ONCE = 8
_OTHERS = 500  # calls of no lane that wait at most; they take moments
_VISIT = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what pages and clients call themselves
_GRACE_S = 60.0  # in which a caller comes for an answer
_IDLE_S = 600.0  # after which a visit without an open page is forgotten
_SWEEP_S = 5.0


class Listeners:
    """Who waits for answers now, and whose page is open; told by the connections that they hold."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._last: dict[str, float] = {}

    def come(self, visit: str) -> None:
        """A connection of the visit is there."""
        self._open[visit] += 1

    def go(self, visit: str) -> None:
        """It is gone."""
        self._open[visit] -= 1
        if self._open[visit] <= 0:
            del self._open[visit]
        self.expect(visit)

    def expect(self, visit: str) -> None:
        """Somebody asked for something and will come for the answer."""
        self._last[visit] = time.monotonic()

    def silent_s(self, visit: str) -> float:
        """For how many seconds nobody has been there; 0 where somebody is."""
        return 0.0 if self._open[visit] > 0 else time.monotonic() - self._last.get(visit, float("-inf"))

    def sweep(self) -> None:
        """Forget those who went long ago."""
        old = time.monotonic() - _IDLE_S
        self._last = {visit: at for visit, at in self._last.items() if at > old}


class FairQueue(Queue):
    """Gradio's queue with turns by visitor, bounds by lane, and memory that does not grow with the calls."""

    def __init__(
        self, settings: Settings, listeners: Listeners, sweep: Callable[[], None], **options: Any
    ) -> None:
        """sweep: called every few seconds. options: of Gradio's queue."""
        super().__init__(max_size=None, **options)
        self._settings, self.listeners, self._sweep_more = settings, listeners, sweep
        self._served: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self.ANALYTICS_MAX_EVENTS = 1  # nobody looks at them, and their sums are made anew after every call

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Nothing; see above."""
        return {}

    async def push(self, body: Any, request: Any, username: str | None) -> Any:
        """Take a job in, or say that the visitor, or everybody, has to wait. Raises `HTTPException`."""
        if body.session_hash is not None and not _VISIT.fullmatch(body.session_hash):
            raise HTTPException(400, "a session_hash is 1 to 64 letters, digits, hyphens and underscores.")
        fn = self.blocks.fns.get(body.fn_index)
        if fn is None:
            raise HTTPException(404, "there is no such call; see the page's 'Use via API'.")
        lane = self.event_queue_per_concurrency_id.get(fn.concurrency_id)
        waiting = lane.queue if lane is not None else []
        most = self._settings.queue_size if fn.concurrency_id in _LANES else _OTHERS
        if len(waiting) >= most:
            raise HTTPException(
                503, f"the app is busy: {len(waiting)} jobs are waiting; try again in a minute."
            )
        visitor = _who(body.session_hash, request)
        if fn.concurrency_id in _LANES and visitor:
            allowed = _VIEWS_AT_ONCE if fn.concurrency_id == "views" else self._settings.visitor_jobs
            mine = sum(_visitor(event) == visitor for event in waiting)
            running = any(_visitor(event) == visitor for event in self._running(fn.concurrency_id))
            if mine >= allowed + (not running):
                raise HTTPException(
                    429, f"the app is busy with {mine + running} jobs of yours; try again when one is done."
                )
        if isinstance(body.event_data, dict):
            # Handlers ask only where it was clicked; what is shown there is a file, under the name it was shown by.
            body.event_data = {"index": body.event_data.get("index")}
        answer = await super().push(body, request, username)
        self.listeners.expect(body.session_hash)
        return answer

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """Next is who was served longest ago, and none of whose jobs runs in this lane."""
        lanes = list(self.event_queue_per_concurrency_id.items())
        random.shuffle(lanes)
        for name, lane in lanes:
            full = lane.concurrency_limit is not None and lane.current_concurrency >= lane.concurrency_limit
            if full or not lane.queue:
                continue
            busy = {_visitor(event) for event in self._running(name)} - {""} if name in _LANES else set()
            free = [event for event in lane.queue if _visitor(event) not in busy]
            if free:
                event = min(free, key=self._turn)
                lane.queue.remove(event)
                for name_of in (_address(event.request), _visitor(event)):
                    self._served[name_of] = time.monotonic()
                self._served.pop("", None)  # all whose machine is not known
                return [event], False, name
        return None

    def _turn(self, event: Event) -> tuple[float, float, float]:
        """Small for who is next: whose machine, then whose visit was served longest ago; else who came first."""
        address, visitor = _address(event.request), _visitor(event)
        return self._served.get(address, 0.0), self._served.get(visitor, 0.0), event.enqueue_time

    async def process_events(self, events: list[Event], batch: bool, begin_time: float, fn: Any) -> None:
        """Work on a job within its time, and for as long as somebody waits for it."""
        event = events[0]
        seconds = fn.time_limit or self._settings.job_seconds
        JOB.set(Job(seconds, time.monotonic(), lambda: self._is_awaited(event)))
        try:
            await super().process_events(events, batch, begin_time, fn)
        finally:
            self._ended[event.session_hash] = time.monotonic()
            if event.session_hash == event._id:
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
            for visit in visits_with_state(self.blocks):
                if self.listeners.silent_s(visit) > _IDLE_S:
                    forget_state(self.blocks, visit)
            old = time.monotonic() - _IDLE_S
            self._served = {address: at for address, at in self._served.items() if at > old}
            self.listeners.sweep()
            self._sweep_more()

    def _forget_answers(self) -> None:
        """Answers that nobody came for, and the empty boxes of those that somebody did."""
        active = {event.session_hash for event in self.event_ids_to_events.values()}
        for visit in list(self._ended):
            if visit not in active and self.listeners.silent_s(visit) > _GRACE_S:
                del self._ended[visit]
                self.pending_messages_per_session.pop(visit, None)
                self.pending_event_ids_session.pop(visit, None)

    def _is_awaited(self, event: Event) -> bool:
        """Whether anybody waits for a job; nobody does once the app ends."""
        return event.alive and not self.stopped and self.listeners.silent_s(event.session_hash) < _GRACE_S

    def _running(self, lane: str) -> list[Event]:
        return [e for job in self.active_jobs if job for e in job if e.concurrency_id == lane]


def _visitor(event: Event) -> str:
    return _who(None if event.session_hash == event._id else event.session_hash, event.request)


def _who(visit: str | None, request: Any) -> str:
    """A visitor by the visit where it has a number, else by the machine; "" where that is this one, and so unknown.

    All callers of the MCP server come through one visit of its own.
    """
    address = _address(request)
    if not address and request.headers.get("x-gradio-user") == "mcp":
        return ""
    return visit or address


def _address(request: Any) -> str:
    host = request.client.host if getattr(request, "client", None) else ""
    try:
        return "" if ipaddress.ip_address(host).is_loopback else host
    except ValueError:
        return host
