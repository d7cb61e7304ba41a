"""Queue policy: lanes for long and short work, fair turns between visitors, and an end for abandoned work."""

from __future__ import annotations

import ipaddress
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import HTTPException

from attribution_core.settings import Settings
from ui.gradio_compat import Call

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


def generation(status: Any) -> dict[str, Any]:
    """The same lane for an event of the page. status: an `in_line.line`, which says the visitor's place in line."""
    return {**GENERATION, "show_progress": "minimal", "show_progress_on": [status]}


class Listeners:
    """Who waits for answers now, and whose page is open, by the connections that they hold."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._last: dict[str, float] = {}

    def come(self, visit: str) -> None:
        """A connection of the visit was opened."""
        self._open[visit] += 1

    def go(self, visit: str) -> None:
        """A connection of the visit was closed."""
        self._open[visit] -= 1
        if self._open[visit] <= 0:
            del self._open[visit]
        self.expect(visit)

    def expect(self, visit: str) -> None:
        """Somebody asked for something and will come for the answer."""
        self._last[visit] = time.monotonic()

    def silent_s(self, visit: str) -> float:
        """Seconds since the visit closed its last connection or made a call; 0 while one is open."""
        return 0.0 if self._open[visit] > 0 else time.monotonic() - self._last.get(visit, float("-inf"))

    def sweep(self) -> None:
        """Forget visits without a connection for `_IDLE_S`."""
        old = time.monotonic() - _IDLE_S
        self._last = {visit: at for visit, at in self._last.items() if at > old}


class FairTurns:
    """Turns by visitor, and bounds by lane."""

    def __init__(self, settings: Settings, listeners: Listeners, sweep: Callable[[], None]) -> None:
        """sweep: called every few seconds."""
        self._settings, self._listeners, self._sweep_more = settings, listeners, sweep
        self.job_seconds: float = settings.job_seconds
        self._served: dict[str, float] = {}

    def admit(self, call: Call, waiting: Sequence[Call], running: Sequence[Call]) -> None:
        """Let a call in. Raises `HTTPException` where its visitor, or everybody, has to wait."""
        if call.visit is not None and not _VISIT.fullmatch(call.visit):
            raise HTTPException(400, "a session_hash is 1 to 64 letters, digits, hyphens and underscores.")
        most = self._settings.queue_size if call.lane in _LANES else _OTHERS
        if len(waiting) >= most:
            raise HTTPException(
                503, f"the app is busy: {len(waiting)} jobs are waiting; try again in a minute."
            )
        visitor = _visitor(call)
        if call.lane in _LANES and visitor:
            allowed = _VIEWS_AT_ONCE if call.lane == "views" else self._settings.visitor_jobs
            own = sum(_visitor(other) == visitor for other in waiting)
            is_served = any(_visitor(other) == visitor for other in running)
            if own >= allowed + (not is_served):
                raise HTTPException(
                    429, f"the app is busy with {own + is_served} jobs of yours; try again when one is done."
                )

    def expect(self, visit: str) -> None:
        """Wait for the caller of a call that was taken in."""
        self._listeners.expect(visit)

    def choose(self, lane: str | None, waiting: Sequence[Call], running: Sequence[Call]) -> Call | None:
        """Next is who was served longest ago, and none of whose jobs runs in this lane."""
        busy = {_visitor(call) for call in running} - {""} if lane in _LANES else set()
        call = _first([call for call in waiting if _visitor(call) not in busy], self._served)
        if call is not None:
            _serve(call, self._served, time.monotonic())
        return call

    def line(self, lane: str | None, waiting: Sequence[Call]) -> list[Call]:
        """A lane's waiting calls in the order of their turns, should nobody else come."""
        if lane not in _LANES:
            return list(waiting)  # they take moments, and may be many
        served, left, line = dict(self._served), list(waiting), list[Call]()
        while (call := _first(left, served)) is not None:
            _serve(call, served, time.monotonic() + len(line))
            left.remove(call)
            line.append(call)
        return line

    def is_awaited(self, visit: str) -> bool:
        """Whether somebody waits for the visit's answers, or went moments ago."""
        return self._listeners.silent_s(visit) < _GRACE_S

    def has_left(self, visit: str) -> bool:
        """Whether the visit's page is closed for good."""
        return self._listeners.silent_s(visit) > _IDLE_S

    def sweep(self) -> None:
        """Forget who was served or listened long ago."""
        old = time.monotonic() - _IDLE_S
        self._served = {name: at for name, at in self._served.items() if at > old}
        self._listeners.sweep()
        self._sweep_more()


def _first(calls: Sequence[Call], served: Mapping[str, float]) -> Call | None:
    """Of whose machine, then whose visit was served longest ago; else who came first. None where there are no calls."""

    def turn(call: Call) -> tuple[float, float, float]:
        return served.get(_address(call.request), 0.0), served.get(_visitor(call), 0.0), call.since

    return min(calls, key=turn, default=None)


def _serve(call: Call, served: dict[str, float], at: float) -> None:
    """Write down whose turn it was."""
    # "" is whom nobody knows.
    served |= {name: at for name in (_address(call.request), _visitor(call)) if name}


def _visitor(call: Call) -> str:
    """A visitor by the visit where there is a page, else by the machine; "" where that is this one, and so unknown.

    All callers of the MCP server come through one visit of its own.
    """
    address = _address(call.request)
    if not address and call.request.headers.get("x-gradio-user") == "mcp":
        return ""
    return call.visit or address


def _address(request: Any) -> str:
    host = request.client.host if getattr(request, "client", None) else ""
    try:
        return "" if ipaddress.ip_address(host).is_loopback else host
    except ValueError:
        return host
