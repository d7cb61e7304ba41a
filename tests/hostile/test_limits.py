"""Time, turns and memory: what one visitor asks for ends, and leaves room for the others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from attribution_core.errors import InvalidInputError
from tests.hostile.test_files import handlers
from tests.support.callers import Answer, Caller
from tests.support.fakes import shape_image
from tests.support.images import encoded
from ui.gradio_compat import _LeanStates
from ui.server.lanes import Listeners
from ui.services.background import JOB, Job, in_background, within_time
from ui.services.uploads import META, Kept, Uploads

PIECE = encoded(shape_image(3), "PNG")
PROMPT = ["red cat", 1, 2, 2.0, ""]


def test_work_ends_when_its_time_is_up_or_nobody_listens() -> None:
    for job, words in (
        (Job(0.3, time.monotonic(), lambda: True), "longer than 0.3 seconds"),
        (Job(60, time.monotonic(), lambda: False), "nobody waited"),
    ):
        ends: list[float] = []

        def work(report: object, ends: list[float] = ends) -> None:
            try:
                for step in range(10_000):
                    time.sleep(0.01)
                    report(step)  # type: ignore[operator]
            finally:
                ends.append(time.monotonic())

        token, began = JOB.set(job), time.monotonic()
        try:
            with pytest.raises(InvalidInputError, match=words):
                list(in_background(work, "slow"))
        finally:
            JOB.reset(token)
        time.sleep(0.2)
        assert ends and ends[0] - began < 2, "the work itself has ended, too"


def test_work_that_does_not_report_does_not_hold_the_caller() -> None:
    token, began = JOB.set(Job(0.3, time.monotonic(), lambda: True)), time.monotonic()
    try:
        with pytest.raises(InvalidInputError, match="was ended"):
            within_time(time.sleep, 3)
    finally:
        JOB.reset(token)
    assert time.monotonic() - began < 1.5


def test_a_visitor_has_one_job_running_and_two_waiting_and_others_come_between(
    visitor: Caller, other: Caller, url: str, slow: list[str]
) -> None:
    generate = {name: k for k, name, _ in handlers(visitor)}["generate"]
    joined = [visitor.join(generate, PROMPT)]
    time.sleep(0.5)
    joined += [visitor.join(generate, PROMPT) for _ in range(5)]
    assert [answer.status_code for answer in joined] == [200, 200, 200, 429, 429, 429]
    assert "the app is busy with 3 jobs of yours" in joined[-1].text
    began = time.monotonic()
    assert other.call("attribute_image", [other.upload(PIECE), 3, ""]).error == ""
    assert time.monotonic() - began < 5, "an attribution never waits for an image that is drawn"
    assert other.ask(generate, ["blue dog", 1, 2, 2.0, ""]).error == ""
    assert slow[:2] == ["red cat", "blue dog"], "the first visitor's other jobs come later"


def test_a_page_opens_while_everybody_waits(url: str, slow: list[str]) -> None:
    callers = [Caller.of(url) for _ in range(25)]
    names = {name: k for k, name, _ in handlers(callers[0])}
    told = [caller.join(names["generate"], PROMPT).status_code for caller in callers for _ in range(3)]
    assert told.count(200) >= 50 and set(told) <= {200, 429, 503}
    full = Caller.of(url).join(names["generate"], PROMPT)
    assert full.status_code == 503 and "try again" in full.text
    began = time.monotonic()
    assert Caller.of(url).ask(names["open_page"], []).error == ""
    assert time.monotonic() - began < 10


def test_memory_stays_where_it_is(url: str) -> None:
    """A short form of the thousand calls of `benchmarks/load.py`."""

    def megabytes() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    def visit(number: int) -> Answer:
        caller = Caller.of(url)
        with caller.web:
            return caller.call("attribute_image", [caller.upload(PIECE), 3, ""])

    with ThreadPoolExecutor(2) as pool:
        assert all(answer.error == "" for answer in pool.map(visit, range(30)))
        before = megabytes()
        assert all(answer.error == "" for answer in pool.map(visit, range(90)))
    assert megabytes() < 1.1 * before


def test_the_oldest_uploads_of_a_visit_go_first(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "uploads", 100_000)
    paths = []
    for number in range(6):
        paths.append(uploads.keep(Kept(b"x" * 40_000, f"{number}.png")))
        assert uploads.file({"path": str(paths[-1]), "meta": META}, "ada") == paths[-1]
    assert [path.exists() for path in paths] == [False, False, False, True, True, True]
    with pytest.raises(InvalidInputError, match="no uploaded file"):
        uploads.file({"path": str(paths[-1]), "meta": META}, "ben")
    with pytest.raises(InvalidInputError, match="no uploaded file"):
        uploads.file({"path": str(paths[-1]), "meta": META}, "")
    uploads.leave("ada")
    assert not any(path.exists() for path in paths) and not list((tmp_path / "uploads").iterdir())
    unused = uploads.keep(Kept(b"x", "late.png"))
    uploads.sweep(0)
    assert not unused.exists()


def test_a_flood_of_uploads_deletes_its_own(tmp_path: Path) -> None:
    """Large ones or tiny ones, used by nobody or by many visits: not the one file of somebody else."""
    uploads = Uploads(tmp_path / "uploads", 100_000)
    mine = uploads.keep(Kept(b"x" * 20_000, "mine.png"))
    uploads.file({"path": str(mine), "meta": META}, "ada")
    for number in range(90):
        flood = uploads.keep(Kept(b"x" * 30_000, "large.png"))
        if number % 2:
            uploads.file({"path": str(flood), "meta": META}, f"visit {number % 7}")
    for _ in range(200):
        uploads.keep(Kept(b"x", "tiny.png"))
    assert mine.exists() and uploads.file({"path": str(mine), "meta": META}, "ada") == mine
    assert len(list((tmp_path / "uploads").iterdir())) < 80, "a file counts for the room that it takes"


def test_made_up_visits_drive_out_no_open_page() -> None:
    states = _LeanStates(lambda visit: visit == "ada")
    states.blocks, states.capacity = gr.Blocks(), 3
    held = states["ada"]
    for number in range(10):
        states[f"made up {number}"]
    assert list(states.session_data) == ["ada", "made up 8", "made up 9"] and states["ada"] is held


def test_listeners_are_there_until_a_minute_after_they_left() -> None:
    listeners = Listeners()
    assert listeners.silent_s("ada") == float("inf")
    listeners.come("ada")
    listeners.come("ada")
    listeners.go("ada")
    assert listeners.silent_s("ada") == 0
    listeners.go("ada")
    assert 0 < listeners.silent_s("ada") < 1


def test_a_job_of_the_api_ends_when_its_caller_leaves(
    visitor: Caller, other: Caller, slow: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.server.lanes._GRACE_S", 0.5)
    for _ in range(2):
        visitor.web.post("/gradio_api/call/generate_image", json={"data": ["red cat", 1, 2, 2.0, 3, ""]})
    began = time.monotonic()
    assert other.call("generate_image", ["blue dog", 1, 2, 2.0, 3, ""]).error == ""
    assert time.monotonic() - began < 2 * 3 + 4, "neither ran to its end"


def test_a_value_of_lists_in_lists_is_a_sentence(visitor: Caller) -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    number = next(one["id"] for one in visitor.config()["dependencies"] if one["api_name"] == "list_top")
    told = visitor.ask(number, [None, deep])
    assert told.error and "went wrong" not in told.error


def test_painted_layers_are_bounded(visitor: Caller) -> None:
    editor = next(one["id"] for one in visitor.config()["components"] if one["type"] == "imageeditor")

    def paint(index: object, name: str) -> int:
        told = {"component_id": str(editor), "session_hash": visitor.visit, "fn_name": "accept_blobs"}
        fields = {**told, "type": "layer", "index": str(index), "id": name}
        return visitor.web.post(
            "/gradio_api/component_server", data=fields, files={"file": ("a.png", PIECE)}
        ).status_code

    assert paint(1, "a") == 200
    assert paint(1_000_000_000, "b") >= 400
    assert paint("x", "c") >= 400
    assert paint(0, "d" * 100) >= 400
    assert all(paint(0, f"painter {number}") == 200 for number in range(30))
