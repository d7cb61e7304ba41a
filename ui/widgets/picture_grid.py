"""A grid of pictures to choose from: no preview of its own, no buttons, as high as its pictures."""

from __future__ import annotations

from typing import Any

import gradio as gr


def picture_grid(value: Any = None, **options: Any) -> gr.Gallery:
    """Such a grid. options: of Gradio's gallery."""
    return gr.Gallery(
        value,
        show_label=False,
        allow_preview=False,
        height="auto",
        object_fit="contain",
        buttons=[],
        interactive=False,
        **options,
    )
