"""Gradio's private side: whatever this app touches that Gradio does not document, so that an upgrade has one place."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder


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
            gone = next((visit for visit in others if not self._is_open(visit)), others[0])
            self.session_data.pop(gone, None)
            self.time_last_used.pop(gone, None)


def keep_lean_states(page: gr.Blocks, is_open: Callable[[str], bool]) -> None:
    """Keep the states of visits small, from now on; for a page that is served. is_open: whether a visit's page is."""
    page.app.state_holder = _LeanStates(is_open)
    page.app.state_holder.set_blocks(page)


def visits_with_state(page: gr.Blocks) -> list[str]:
    """The visits of which anything is held."""
    return list(page.state_holder.session_data)


def forget_state(page: gr.Blocks, visit: str) -> None:
    """Forget all that is held of a visit."""
    page.state_holder.session_data.pop(visit, None)
    page.state_holder.time_last_used.pop(visit, None)
