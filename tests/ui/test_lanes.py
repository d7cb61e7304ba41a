"""Whose turn it is: the order that waiting visitors are told is the one in which they are served."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from attribution_core.settings import Settings
from ui.gradio_compat import Call
from ui.server.lanes import FairTurns, Listeners


def call(number: str, visit: str, since: float, host: str = "203.0.113.1") -> Call:
    request = SimpleNamespace(client=SimpleNamespace(host=host), headers={})
    return Call(number, visit, "generation", request, since)


@pytest.fixture
def turns() -> FairTurns:
    return FairTurns(Settings(), Listeners(), lambda: None)


def test_who_asked_for_much_is_told_to_wait_for_those_who_asked_for_little(turns: FairTurns) -> None:
    waiting = [
        call("a1", "ann", 1),
        call("a2", "ann", 2),
        call("a3", "ann", 3),
        call("b1", "ben", 4),
        call("c1", "cleo", 5, "203.0.113.2"),
    ]
    assert [one.id for one in turns.line("generation", waiting)] == ["a1", "c1", "b1", "a2", "a3"]
    assert [one.id for one in turns.line("views of nobody", waiting)] == [one.id for one in waiting]


def test_the_order_told_is_the_order_served(turns: FairTurns) -> None:
    waiting = [
        call(f"{visit}{k}", visit, k + at, host)
        for k in range(3)
        for at, (visit, host) in enumerate(
            [("ann", "203.0.113.1"), ("ben", "127.0.0.1"), ("cleo", "203.0.113.1")]
        )
    ]
    assert turns.choose("generation", waiting[:1], []) is waiting[0]
    left = waiting[1:]
    told, served = turns.line("generation", left), list[Call]()
    while (one := turns.choose("generation", left, [])) is not None:
        served.append(one)
        left.remove(one)
    assert [one.id for one in told] == [one.id for one in served]
    assert len(told) == 8
