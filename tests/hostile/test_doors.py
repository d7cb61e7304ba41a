"""Who may ask, for what, and what answers say of this machine: hosts, origins, closed paths, headers, paths, words."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from attribution_core.settings import REPOSITORY, Settings
from tests.hostile.test_files import handlers
from tests.support.callers import Caller
from tests.support.fakes import shape_image
from tests.support.images import encoded
from ui.server.doors import Doors, _Replacer, alias
from ui.server.lanes import Listeners
from ui.services.folder import private_folder

PIECE = encoded(shape_image(3), "PNG")


def test_a_name_that_is_not_the_apps_is_refused(visitor: Caller) -> None:
    for host in ("evil.example", "evil.example:7860", "127.0.0.1.evil.example"):
        assert visitor.web.get("/config", headers={"Host": host}).status_code == 400
    assert visitor.web.get("/config", headers={"Host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1.evil.example", "file://", "http://["]
)
def test_a_page_of_another_site_gets_nothing(visitor: Caller, origin: str) -> None:
    for method, path in (
        ("POST", "/gradio_api/call/attribute_image"),
        ("POST", "/gradio_api/upload"),
        ("GET", "/config"),
        ("POST", "/gradio_api/queue/join"),
    ):
        answer = visitor.web.request(method, path, headers={"Origin": origin}, json={"data": []})
        assert answer.status_code == 403 and "ATTRIBUTION_ALLOWED_HOSTS" in answer.text
    own = str(visitor.web.base_url).rstrip("/")
    assert visitor.web.get("/config", headers={"Origin": own}).status_code == 200


def test_hosts_can_be_named_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIBUTION_ALLOWED_HOSTS", "art.example, *.lab.example")
    assert Settings().allowed_hosts == ("art.example", "*.lab.example")


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/deep_link?session_hash=a",
        "/gradio_api/proxy=http://127.0.0.1:9/",
        "/gradio_api/process_recording",
        "/gradio_api/vibe-edit",
        "/gradio_api/runs",
        "/gradio_api/token",
        "/gradio_api/dev/reload",
        "/monitoring",
        "/docs",
        "/openapi.json",
        "/login",
    ],
)
def test_what_the_app_does_not_need_is_closed(visitor: Caller, path: str) -> None:
    for method in ("GET", "POST"):
        assert visitor.web.request(method, path).status_code == 404
    assert not list(private_folder().rglob("deep_links"))


@pytest.mark.parametrize(
    "query", ["page=x", "tab=training-set&page=-1", "p%61ge=99", "page", "page=a&page=b"]
)
def test_an_address_that_names_a_page_opens_the_app(visitor: Caller, query: str) -> None:
    assert visitor.web.get(f"/?{query}").status_code == 200


def test_run_does_not_pass_by_the_queue_and_call_answers(visitor: Caller) -> None:
    file = visitor.upload(PIECE)
    answer = visitor.web.post("/gradio_api/run/attribute_image", json={"data": [file, 3, ""]})
    assert answer.status_code == 404 and "queue" in answer.text
    assert len(visitor.call("attribute_image", [file, 3, ""]).data[0]["top"]) == 3
    assert visitor.call("none_such", []).status == 404


def test_every_answer_tells_browsers_what_it_may_do(visitor: Caller) -> None:
    file = visitor.upload(PIECE)
    for path in ("/", "/config", "/theme.css", f"/gradio_api/file={file['path']}", "/nowhere"):
        told = visitor.web.get(path).headers
        assert told["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'self' https://huggingface.co" in told["content-security-policy"]
    assert "sandbox" in visitor.web.get(f"/gradio_api/file={file['path']}").headers["content-security-policy"]


def test_sites_that_the_settings_name_may_frame_the_page_and_no_file() -> None:
    client = TestClient(Doors(PlainTextResponse("here"), Listeners(), str, ("https://talk.example",)))  # type: ignore[arg-type]
    page, file = (client.get(path).headers["content-security-policy"] for path in ("/", "/gradio_api/file=a"))
    assert page.endswith("https://*.hf.space https://talk.example") and "talk.example" not in file


def test_no_path_of_this_machine_is_told(visitor: Caller, tmp_path: Path) -> None:
    own = [str(REPOSITORY), str(private_folder()), str(tmp_path.parents[2]), str(Path.home())]
    names = {name: k for k, name, _ in handlers(visitor)}
    opened = visitor.ask(names["open_page"], [])
    file = visitor.upload(PIECE)
    told = [
        visitor.web.get("/config").text,
        visitor.web.get("/").text,
        visitor.web.get("/gradio_api/info").text,
        json.dumps(opened.data),
        json.dumps(file),
        json.dumps(visitor.ask(names["read_upload"], [file]).data),
        json.dumps(visitor.call("generate_image", ["red cat", 1, 2, 2.0, 3, ""]).data),
        json.dumps(visitor.ask(names["report_html"], [None] * 5).data),
    ]
    assert [path for path in own if path != "/" and any(path in text for text in told)] == []


def test_the_folders_other_name_in_a_text_does_not_become_its_own(visitor: Caller) -> None:
    """It would be drawn, cut and kept in files, where nobody writes the other name again."""
    own, shown = str(private_folder()), alias(str(private_folder()))
    made = visitor.call("generate_image", [f"cat {shown}", 1, 2, 2.0, 3, ""])
    assert made.error == ""
    assert own not in json.dumps(made.data) and "tmp" not in made.data[0][0]["path"]
    assert own.encode() not in visitor.web.get(f"/gradio_api/file={made.data[0][0]['path']}").content
    cut = visitor.call("generate_image", ["cat", "x" * (58 - len(own)) + shown, 2, 2.0, 3, ""])
    assert "expected a number" in cut.error and own[:10] not in cut.error
    for end in ("", "/", "/none", "/../x", "/%00"):
        refused = visitor.web.get(f"/gradio_api/file={shown}{end}")
        assert refused.status_code >= 400 and own not in refused.text


@pytest.mark.parametrize("path", ["queue/join", "call/attribute_image", "component_server", "cancel"])
@pytest.mark.parametrize("told", [True, False])
def test_what_is_sent_is_bounded(visitor: Caller, path: str, told: bool) -> None:
    """JSON of 60 MB in small pieces takes ten gigabytes and more than a minute in which nobody else is answered."""
    body = b'{"data": [' + b"[]," * 1_000_000 + b"[]]}"
    headers = {"Content-Type": "application/json"}
    sent = visitor.web.post(f"/gradio_api/{path}", content=body if told else iter([body]), headers=headers)
    assert sent.status_code == 413 or (sent.status_code, path) == (
        400,
        "component_server",
    )  # in Gradio's words


def test_a_visit_has_a_name_of_a_few_letters(visitor: Caller) -> None:
    number = next(k for k, name, _ in handlers(visitor) if name == "open_page")
    for visit in ("", "a" * 65, "a/b", "\ud800"):
        assert Caller(visitor.web, visit).join(number, []).status_code == 400, visit


def test_the_alias_is_written_wherever_a_stream_is_cut() -> None:
    folder = "/tmp/attribution-explorer-0/run-abc"
    text, shown = (
        b"x" + folder.encode() + b"/tmp/attri" + folder.encode() * 2 + b"/tmp",
        alias(folder).encode(),
    )
    assert len(shown) == len(folder)
    for cut in range(len(text)):
        replace = _Replacer(folder.encode(), shown)
        assert replace(text[:cut], False) + replace(text[cut:], True) == text.replace(folder.encode(), shown)


WRONG: list[Any] = [
    None,
    "",
    "a",
    7,
    -1,
    2.5,
    1e300,
    10**400,
    True,
    [],
    {},
    [None],
    {"a": 1},
    "\ud800",
    "x" * 20_000,
    [[[]]],
]


def test_wrong_types_are_one_sentence_everywhere(visitor: Caller, caplog: pytest.LogCaptureFixture) -> None:
    said: dict[str, set[str]] = {}
    began = time.monotonic()
    with caplog.at_level(logging.ERROR):
        for k, name, filled in handlers(visitor):
            if name.startswith(("generate", "ask_", "second_opinion", "make_", "try_seeds", "open_link")):
                continue  # what draws is asked below, where it is refused before it begins
            for value in WRONG if any(filled) else []:
                answer = visitor.ask(k, [value if mine else None for mine in filled])
                assert answer.status == 200 and answer.size < 3_000_000, (name, value)
                said.setdefault(name, set()).add(answer.error)
    unexpected = {name for name, words in said.items() if any("Something went wrong" in w for w in words)}
    assert unexpected == set(), caplog.text[-3000:]
    assert time.monotonic() - began < 240


CLICKED = (
    *("return_to", "show_details", "show_example", "set_corner", "choose_training_image"),
    *("compare_with", "look"),
)
CLICKS: list[Any] = [
    {},
    {"index": "a"},
    {"index": {}},
    {"index": [1, 2]},
    {"index": [1e308, None]},
    {"index": [1]},
    "x",
    [1],
]


def test_what_was_clicked_is_checked_too(visitor: Caller, caplog: pytest.LogCaptureFixture) -> None:
    told = visitor.config()
    kinds = {one["id"]: one["type"] for one in told["components"]}
    names = {name: k for k, name, _ in handlers(visitor)}
    assert visitor.ask(names["read_upload"], [visitor.upload(PIECE)]).error == ""
    assert visitor.ask(names["attribute_after_1"], [None, None, None]).error == ""
    for one in told["dependencies"]:
        if one["api_name"] not in CLICKED:
            continue
        given = [1 if kinds[k] == "number" else None for k in one["inputs"]]
        for click in [*CLICKS, {"index": [10**400, -(10**400)]}]:
            asked = {"fn_index": one["id"], "data": given, "session_hash": visitor.visit, "event_data": click}
            sent = json.dumps(asked).encode()
            headers = {"Content-Type": "application/json"}
            answer = visitor.web.post("/gradio_api/queue/join", content=sent, headers=headers)
            if answer.status_code == 200:
                assert "went wrong" not in visitor.answer().error, (
                    one["api_name"],
                    click,
                    caplog.text[-2000:],
                )


@pytest.mark.parametrize(
    ("call", "given", "words"),
    [
        ("generate_image", [None, 1, 2, 2.0, 3, ""], "prompt is empty"),
        ("generate_image", ["cat", None, 2, 2.0, 3, ""], "'seed' is nothing"),
        ("generate_image", ["cat", "1", 2, 2.0, 3, ""], "'seed' is '1', expected a number"),
        ("generate_image", ["cat", 1.5, 2, 2.0, 3, ""], "whole number"),
        ("generate_image", ["cat", 1, True, 2.0, 3, ""], "'steps' is True"),
        ("generate_image", [["cat"], 1, 2, 2.0, 3, ""], "expected text"),
        ("generate_image", ["cat", 1, 2, 2.0, 3, 7], "'method' is 7, expected text"),
        ("attribute_image", ["a.png", 3, ""], "expected an uploaded image"),
        ("attribute_image", [None, 3, ""], "'image' is nothing"),
        (
            "would_be_credited",
            [None, "Ada", None, ""],
            "'artwork' is nothing, expected a list of uploaded images",
        ),
        ("check_copy", [[]], "expected an uploaded image"),
    ],
)
def test_the_api_says_what_it_takes(visitor: Caller, call: str, given: list[Any], words: str) -> None:
    assert words in visitor.call(call, given).error


def test_null_for_what_the_artworks_share_is_one_sentence(visitor: Caller) -> None:
    answer = visitor.web.post("/gradio_api/run/learn_kind", json={"data": [None, "x"]})
    assert "expected one of" in answer.json()["error"]


def test_half_a_character_does_not_break_the_visitors_stream(visitor: Caller) -> None:
    answer = visitor.call("generate_image", ["\ud800 red cat", 1, 2, 2.0, 3, ""])
    assert answer.error == "" and answer.data[0][1]["prompt"] == "? red cat"


def test_prompts_are_not_logged(
    visitor: Caller, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {name: k for k, name, _ in handlers(visitor)}
    with caplog.at_level(logging.DEBUG, logger="attribution_explorer"):
        visitor.call("generate_image", ["my-secret-prompt", 1, 2, 99.0, 3, ""])
        visitor.call("generate_image", ["my-secret-prompt", 1, 2, 2.0, 3, "my-secret-prompt"])
        visitor.ask(names["learn_kind"], ["my-secret-prompt", {"my-secret-prompt": 1}])
        visitor.ask(names["generate"], ["my-secret-prompt", "my-secret-prompt", {}, [], ""])
    out, err = capfd.readouterr()
    assert not re.search("my-secret-prompt", caplog.text + out + err)
