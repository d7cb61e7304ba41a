"""Middleware: allowed origins and paths, size limits, security headers, and no real paths in answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from ui.server.lanes import Listeners

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN = re.compile(
    r"/|/(config|theme\.css|robots\.txt|favicon\.ico|manifest\.json|pwa_icon|login_check)(/.*)?|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|openapi\.json|app_id|theme\.css|startup-events|login_check|upload|upload_progress|cancel"
    r"|component_server|reset)/?"
    r"|/gradio_api/(call|run|queue|heartbeat|mcp|file)([/=].*)?"
)
"""What the page, its API and MCP need. Gradio has more: links that leave files, a proxy, recordings, statistics."""
_FRAMES = "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"
_PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    f"worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; {_FRAMES}"
)
"""Gradio's page makes functions of text and styles in place, so that both must be allowed."""
_BODY = 1_000_000  # bytes of JSON; the page's own are some thousand
_FILE = f"default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox; {_FRAMES}"


class SameOrigin:
    """Refuse what a page of another site asks for in a visitor's browser."""

    def __init__(self, app: App, hosts: list[str]) -> None:
        """hosts: names under which the app is reached, without ports."""
        self.app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 403."""
        origin = Headers(scope=scope).get("origin") if scope["type"] in ("http", "websocket") else None  # type: ignore[arg-type]
        if origin is not None and not self._known(origin):
            words = "a page of another site cannot use this app; its name can be put into ATTRIBUTION_ALLOWED_HOSTS."
            await PlainTextResponse(words, 403)(scope, receive, send)  # type: ignore[arg-type]
            return
        await self.app(scope, receive, send)

    def _known(self, origin: str) -> bool:
        try:
            name = urlsplit(origin).hostname or ""
        except ValueError:  # no address at all, such as "http://["
            return False
        return any(
            host in (name, "*") or (host[:2] == "*." and name.endswith(host[1:])) for host in self._hosts
        )


class Doors:
    """Close paths that this app does not need, add security headers, and note who listens."""

    def __init__(
        self, app: App, listeners: Listeners, visit_of: Callable[[str], str], embed_in: Sequence[str] = ()
    ) -> None:
        """visit_of: the visit that asked for a job, by its number. embed_in: more sites that may frame the page."""
        self.app, self._listeners, self._visit_of = app, listeners, visit_of
        self._page = " ".join([_PAGE, *embed_in])  # it ends with the sites that may frame it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 404."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        is_file = path.startswith("/gradio_api/file")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Content-Security-Policy"] = _FILE if is_file else self._page
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        if not _OPEN.fullmatch(path):
            await PlainTextResponse("there is nothing here.", 404)(scope, receive, with_headers)  # type: ignore[arg-type]
            return
        if path == "/":
            scope = {**scope, "query_string": _without_page(scope.get("query_string", b""))}
        visit = self._listening(path, scope.get("query_string", b"").decode("latin-1"), scope["method"])
        if not visit:
            await self.app(scope, receive, with_headers)
            return
        self._listeners.come(visit)
        try:
            await self.app(scope, receive, with_headers)
        finally:
            self._listeners.go(visit)

    def _listening(self, path: str, query: str, method: str) -> str:
        """The visit that waits for answers, or whose page is open, by this connection; "" where it is none."""
        if method != "GET":
            return ""
        if match := re.fullmatch(r"/gradio_api/call(?:/v2)?/[^/]+/([^/]+)", path):
            return self._visit_of(match[1])
        if match := re.fullmatch(r"/gradio_api/heartbeat/([^/]+)", path):
            return match[1]
        match = re.search(r"(?:^|&)session_hash=([^&]+)", query) if path == "/gradio_api/queue/data" else None
        return match[1] if match else ""


def _without_page(query: bytes) -> bytes:
    """An address's query without `page`, of which Gradio makes a page of its own and fails where there is none."""
    parts = query.split(b"&")
    return b"&".join(part for part in parts if unquote_to_bytes(part.partition(b"=")[0]) != b"page")


class Bounded:
    """Refuse bodies larger than any that the page sends: JSON becomes a hundred times as large once it is read.

    The upload has a bound of its own.
    """

    def __init__(self, app: App, file_bytes: int) -> None:
        """file_bytes: of the largest file that is taken."""
        self.app = app
        self._most = {"/gradio_api/component_server": file_bytes, "/gradio_api/mcp": file_bytes * 4 // 3}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 413."""
        if scope["type"] != "http" or scope["path"].rstrip("/") == "/gradio_api/upload":
            await self.app(scope, receive, send)
            return
        more = (most for path, most in self._most.items() if scope["path"].startswith(path))
        most, count = _BODY + next(more, 0), 0
        too_large = f"what was sent is larger than the {most:,} bytes that this address takes."

        async def bounded() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise HTTPException(413, too_large)
            return message

        length = Headers(scope=scope).get("content-length", "")  # type: ignore[arg-type]
        if length.isdecimal() and int(length[:20]) > most:
            await PlainTextResponse(too_large, 413)(scope, receive, send)  # type: ignore[arg-type]
            return
        await self.app(scope, bounded, send)


def alias(folder: str) -> str:
    """Another name of the same length for the app's folder of files."""
    return ("/files" + "-" * len(folder))[: len(folder)]


class Alias:
    """Write another name for the app's folder of files wherever one goes out, and read it back in an address.

    Both have the same length, so that nothing else of a message changes. What comes in a body is text of a stranger,
    which may be kept or cut: the gate alone reads the name there, where a file is meant.
    """

    def __init__(self, app: App, folder: str) -> None:
        """folder: an absolute path of letters that no encoding of an address or of JSON changes."""
        self.app, self._real = app, folder.encode()
        self._shown = alias(folder).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with both names exchanged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        inside = dict(scope)
        inside["path"] = scope["path"].replace(self._shown.decode(), self._real.decode())
        inside["raw_path"] = (scope.get("raw_path") or b"").replace(self._shown, self._real)
        outward, is_file = _Replacer(self._real, self._shown), False

        async def send_outside(message: Message) -> None:
            nonlocal is_file
            if message["type"] == "http.response.body" and not is_file:
                body = outward(message.get("body", b""), not message.get("more_body", False))
                message = {**message, "body": body}
            elif message["type"] == "http.response.start":
                is_file = scope["path"].startswith("/gradio_api/file") and message["status"] < 400
                headers = [(k, v.replace(self._real, self._shown)) for k, v in message.get("headers", [])]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(inside, receive, send_outside)


class _Replacer:
    """Replaces bytes in a stream, also where a chunk ends within them."""

    def __init__(self, old: bytes, new: bytes) -> None:
        self._old, self._new, self._rest = old, new, b""

    def __call__(self, data: bytes, last: bool) -> bytes:
        data = (self._rest + data).replace(self._old, self._new)
        kept = (
            0
            if last
            else next((n for n in range(len(self._old) - 1, 0, -1) if data.endswith(self._old[:n])), 0)
        )
        self._rest = data[len(data) - kept :]
        return data[: len(data) - kept]
