"""The gate that every call of a handler passes, from the page, the API or MCP: files are uploads, errors sentences."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError

from attribution_core.errors import InvalidInputError
from ui.handler import as_toast
from ui.server.doors import alias
from ui.services.folder import private_folder
from ui.services.uploads import META, Uploads, delete

VISIT: ContextVar[str] = ContextVar("visit", default="")
"""The visit whose call is worked on; "" for a call without a page."""


def guard(page: gr.Blocks, uploads: Uploads) -> None:
    """Put the gate into the one method of the page that all calls go through."""
    process = page.process_api

    async def process_api(block_fn: Any, inputs: list[Any], *given: Any, **named: Any) -> dict[str, Any]:
        called = page.fns[block_fn] if isinstance(block_fn, int) else block_fn
        session, event = named.get("session_hash"), named.get("event_id")
        visit = (
            "" if session is None or session == event else session
        )  # the queue calls a visit without a number so
        VISIT.set(visit)
        try:
            if named.get("iterator") is None:
                inputs = _checked(called, inputs, uploads, visit)
            return await process(block_fn, inputs, *given, **named)
        except Exception as error:
            raise as_toast(error) from error

    preprocess = page.preprocess_data

    async def preprocess_data(*given: Any, **named: Any) -> list[Any]:
        try:
            return await preprocess(*given, **named)
        except gr.Error as error:  # the field's own words, which quote what was given
            raise InvalidInputError(error.message[:300]) from error
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            InvalidPathError,
        ) as error:  # as pydantic's, too
            raise InvalidInputError(
                "one of the values is not of the kind that its field takes; check them all."
            ) from error

    page.process_api = process_api  # type: ignore[method-assign]
    page.preprocess_data = preprocess_data  # type: ignore[method-assign]


def _checked(called: Any, inputs: list[Any], uploads: Uploads, visit: str) -> list[Any]:
    if len(inputs) < len(called.inputs):
        raise InvalidInputError(
            f"this call takes {len(called.inputs)} values, given {len(inputs)}; see the page's 'Use via API'."
        )
    kept = list(inputs)
    taken: list[Path] = []
    refused: InvalidInputError | None = None
    for place, (block, value) in enumerate(zip(called.inputs, kept, strict=False)):
        if isinstance(block, gr.ImageEditor) and isinstance(value, Mapping):
            # Of what was painted, the layers alone are read; the rest is the picture that the page showed.
            value = {
                "background": None,
                "composite": None,
                "layers": value.get("layers"),
                "id": value.get("id"),
            }
        try:
            kept[place] = _files(value, uploads, visit, taken)
        except InvalidInputError as error:
            refused = error
    if refused is not None:
        for file in taken:  # no handler reads them any more, and those of some would have deleted them
            delete(file)
        raise refused
    return kept


def _real(path: Any) -> Any:
    """The name of a file on this machine, by the name under which it was shown."""
    folder = str(private_folder())
    shown = alias(folder)
    return folder + path[len(shown) :] if isinstance(path, str) and path.startswith(f"{shown}/") else path


def _files(value: Any, uploads: Uploads, visit: str, taken: list[Path]) -> Any:
    """The value with every file in it checked, and nothing left of it but where it lies and its name.

    taken: the files are added to it.
    """
    if isinstance(value, Mapping):
        if value.keys() & {"path", "url", "meta"}:
            file = uploads.file({**value, "path": _real(value.get("path"))}, visit)
            taken.append(file)
            return {"path": str(file), "orig_name": file.name, "meta": META, "size": file.stat().st_size}
        return {key: _files(one, uploads, visit, taken) for key, one in value.items()}
    return (
        [_files(one, uploads, visit, taken) for one in value] if isinstance(value, (list, tuple)) else value
    )
