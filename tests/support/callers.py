"""Visitors without a browser: they upload, call any handler by its number or name, and wait for the answer."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

META = {"_type": "gradio.FileData"}
FINISHED = "process_completed"


@dataclass
class Answer:
    """What a call came to. status: of HTTP; error: its sentence, "" where it went well. size: of all messages."""

    status: int
    error: str = ""
    data: Any = None
    size: int = 0


@dataclass
class Caller:
    """One visit to an app. web: a client of its address."""

    web: httpx.Client
    visit: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of(cls, url: str) -> Caller:
        return cls(httpx.Client(base_url=url, timeout=60))

    def config(self) -> dict[str, Any]:
        told: dict[str, Any] = self.web.get("/config").json()
        return told

    def upload(self, data: bytes, name: str = "image.png") -> dict[str, Any]:
        """A file as the page hands it over."""
        answer = self.web.post("/gradio_api/upload", files={"files": (name, data)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": META}

    def join(self, number: int, data: list[Any]) -> httpx.Response:
        """Ask, and wait for nothing."""
        body = json.dumps({"fn_index": number, "data": data, "session_hash": self.visit})
        headers = {"Content-Type": "application/json"}
        return self.web.post("/gradio_api/queue/join", content=body, headers=headers)

    def ask(self, number: int, data: list[Any]) -> Answer:
        """Call a handler by its number, as the page does."""
        joined = self.join(number, data)
        if joined.status_code != 200:
            return Answer(joined.status_code, joined.text)
        return self.answer()

    def answer(self) -> Answer:
        """The next answer to this visit."""
        size = 0
        with self.web.stream("GET", f"/gradio_api/queue/data?session_hash={self.visit}") as lines:
            for line in lines.iter_lines():
                size += len(line)
                told = json.loads(line[6:]) if line.startswith("data: ") else {}
                if told.get("msg") == FINISHED:
                    output = told["output"] or {}
                    error = "" if told["success"] else str(output.get("error"))
                    return Answer(200, error, output.get("data"), size)
        return Answer(500, "the stream broke off", size=size)

    def call(self, name: str, data: list[Any]) -> Answer:
        """Call the documented API, as `curl` does."""
        body = json.dumps({"data": data})
        headers = {"Content-Type": "application/json"}
        begun = self.web.post(f"/gradio_api/call/{name}", content=body, headers=headers)
        if begun.status_code != 200:
            return Answer(begun.status_code, begun.text)
        with self.web.stream("GET", f"/gradio_api/call/{name}/{begun.json()['event_id']}") as lines:
            text = "".join(lines.iter_text())
        kind = "complete" if "event: complete" in text else "error"
        told = json.loads(text[text.rindex("data: ") + 6 :])
        if kind == "error":
            return Answer(200, str(told.get("error") if isinstance(told, dict) else told), size=len(text))
        return Answer(200, "", told, len(text))
