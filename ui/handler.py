"""What every handler of the page and the API goes through: types are checked, time is bounded, errors are sentences."""

from __future__ import annotations

import functools
import html
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from attribution_core.errors import AttributionError, InvalidInputError
from ui.services.background import within_time

LOG = logging.getLogger("attribution_explorer")
_UNEXPECTED = "Something went wrong on the server; it was logged. Try again, or with another image."


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    # Not by `isfinite`, which fails on a whole number of more digits than a float holds.
    return -sys.float_info.max <= value <= sys.float_info.max


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    # An empty text field is a matter of the handler, which knows what to say of it.
    "str": ("text", lambda v: v is None or isinstance(v, str)),
    "int": ("a number", is_number),
    "float": ("a number", is_number),
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "gr.FileData": ("an uploaded image", lambda v: isinstance(v, Mapping) and "path" in v),
    "list[gr.FileData]": (
        "a list of uploaded images",
        lambda v: isinstance(v, list) and all(isinstance(one, Mapping) and "path" in one for one in v),
    ),
}
"""What the annotations of a handler promise: words for it, and whether a value keeps to it."""


def handler(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the plain types of what a caller sends, bound the time of a job, and make one sentence of every error.

    function: plain or a generator function, its annotations written as text. Where a job of the queue works on it, it
    ends when `Job.check` says so.
    """
    kinds = [
        (name, *_KINDS[str(parameter.annotation)])
        if str(parameter.annotation) in _KINDS and parameter.kind is not parameter.VAR_POSITIONAL
        else None
        for name, parameter in inspect.signature(function).parameters.items()
    ]

    def checked(arguments: tuple[Any, ...]) -> list[Any]:
        for kind, value in zip(kinds, arguments, strict=False):
            if kind is not None and not kind[2](value):
                given = "nothing" if value is None else f"{value!r:.60}"
                raise InvalidInputError(f"'{kind[0]}' is {given}, expected {kind[1]}.")
        return [_clean(value) for value in arguments]

    def toast(error: Exception, arguments: tuple[Any, ...]) -> gr.Error:
        """What fails on a text that is missing, and that the handler does not look for, fails for that."""
        missing = [kind[0] for kind, value in zip(kinds, arguments, strict=False) if kind and value is None]
        if missing and isinstance(error, (KeyError, TypeError, AttributeError)):
            error = InvalidInputError(f"'{missing[0]}' is nothing, expected text.")
        return as_toast(error)

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def stream(*arguments: Any) -> Iterator[Any]:
            try:
                yield from function(*checked(arguments))
            except Exception as error:
                raise toast(error, arguments) from error

        return stream

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return within_time(function, *checked(arguments))
        except Exception as error:
            raise toast(error, arguments) from error

    return call


def as_toast(error: BaseException) -> gr.Error:
    """One sentence of an error: a user's mistake in its own words; anything else is logged, without what was given."""
    if isinstance(error, gr.Error):
        error.print_exception = False
        return error
    if isinstance(error, RecursionError):
        error = InvalidInputError("one of the values is nested too deeply.")
    if isinstance(error, AttributionError):
        words = as_words(error)
        return gr.Error(words[:1].upper() + words[1:], title="That did not work", print_exception=False)
    # Not the error's own text, which may quote a prompt or a path.
    LOG.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return gr.Error(_UNEXPECTED, title="Unexpected error", print_exception=False)


def as_words(error: BaseException) -> str:
    """Toasts read HTML, and an error may quote a stranger's file name or link."""
    return html.escape(clean(str(error)), quote=False)


def clean(text: str) -> str:
    """Text that can be sent: half a character, which JSON can hold and UTF-8 cannot, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    return [_clean(one) for one in value] if isinstance(value, list) else value
