"""Downloads that are made when they are asked for, so that no page waits for a file that nobody wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ui.widgets.under_way import AFTERWARDS

SAVE = """(file) => {
  if (!file) return;
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""


def made_on_click(
    label: str, make: Callable[..., str], asked: list[Any], *, elem_id: str, api_name: str, **options: Any
) -> gr.Button:
    """A button that saves the file whose path `make` returns. asked: components that `make` is given.

    A click while an image is being attributed waits for it.

    make: wrapped by `handler`. options: of the button.
    """
    button = gr.Button(label, elem_id=elem_id, **options)
    file = gr.File(visible=False)
    made = button.click(make, asked, file, js=AFTERWARDS, api_name=api_name, show_progress="hidden")
    made.success(None, file, None, js=SAVE)
    return button
