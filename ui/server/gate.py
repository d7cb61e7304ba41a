"""Checks around every call of a handler, from the page, the API or MCP: files must be uploads, errors are sentences."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gradio as gr

from attribution_core.errors import InvalidInputError
from ui.gradio_compat import wrap_calls
from ui.handler import as_toast
from ui.server.doors import alias
from ui.services.folder import private_folder
from ui.services.uploads import META, Uploads, delete

VISIT: ContextVar[str] = ContextVar("visit", default="")
"""The visit whose call is worked on; "" for a call without a page."""


def guard(page: gr.Blocks, uploads: Uploads) -> None:
    """Check what every call of a handler is given, and make a sentence of every error."""

    def check(visit: str, fields: list[Any], values: list[Any], begins: bool) -> list[Any]:
        VISIT.set(visit)
        return _checked(fields, values, uploads, visit) if begins else values

    wrap_calls(page, check, _refused, as_toast)


def _refused(error: Exception) -> InvalidInputError:
    if isinstance(error, gr.Error):  # the field's own words, which quote what was given
        return InvalidInputError(error.message[:300])
    return InvalidInputError("one of the values is not of the kind that its field takes; check them all.")


def _checked(fields: list[Any], values: list[Any], uploads: Uploads, visit: str) -> list[Any]:
    if len(values) < len(fields):
        raise InvalidInputError(
            f"this call takes {len(fields)} values, given {len(values)}; see the page's 'Use via API'."
        )
    kept = list(values)
    taken: list[Path] = []
    refused: InvalidInputError | None = None
    for place, (block, value) in enumerate(zip(fields, kept, strict=False)):
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
