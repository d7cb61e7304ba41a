"""The upload: bounded files under unguessable names; large images are scaled down as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from attribution_core.common.images import Limits
from ui.gradio_compat import safe_file_name
from ui.services.uploads import Uploads, as_kept

MOST_FILES = 100
_TOGETHER = 10  # times the largest file, in one request
_AT_ONCE = 2  # images that are decoded side by side


class _TooLargeError(Exception):
    """The body of a request goes on beyond what is taken."""


def receiver(limits: Limits, uploads: Uploads, trust: str = "") -> Callable[[Request], Awaitable[Response]]:
    """The answer to an upload: the paths of its files as JSON. trust: as in `as_kept`."""
    lane = anyio.CapacityLimiter(_AT_ONCE)
    too_large = (
        f"a file is larger than the allowed {limits.file_bytes / 1e6:.0f} MB, or all are together; give less."
    )

    async def receive(request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return PlainTextResponse("an upload is a form with files (multipart/form-data).", 400)
        body = _bounded(request, _TOGETHER * limits.file_bytes)
        try:
            form = await MultiPartParser(request.headers, body, max_files=MOST_FILES, max_fields=4).parse()
        except _TooLargeError:
            return PlainTextResponse(too_large, 413)
        except (MultiPartException, KeyError, ClientDisconnect) as error:
            if "Too many files" in str(getattr(error, "message", "")):
                return PlainTextResponse(f"the upload has more than {MOST_FILES} files; give fewer.", 400)
            return PlainTextResponse("the upload cannot be read; send it again.", 400)
        try:
            files = [one for one in form.getlist("files") if isinstance(one, UploadFile)]
            if any((one.size or 0) > limits.file_bytes for one in files):
                return PlainTextResponse(too_large, 413)
            kept = []
            for one in files:
                data, name = await one.read(), safe_file_name(one.filename or "image")
                file = await anyio.to_thread.run_sync(as_kept, data, name, limits, trust, limiter=lane)
                kept.append(str(await anyio.to_thread.run_sync(uploads.keep, file)))
        finally:
            await form.close()
        return JSONResponse(kept)

    return receive


async def progress(request: Request) -> Response:
    """The page asks how far an upload is: it is followed as far as the browser shows it, and no further."""
    return Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")


async def _bounded(request: Request, most: int) -> AsyncIterator[Any]:
    """The body of a request. Raises `_TooLargeError` beyond so many bytes."""
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > most:
            raise _TooLargeError
        yield chunk
