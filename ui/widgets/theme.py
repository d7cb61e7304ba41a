"""Colours and fonts; the rest of the looks is in ui/static/app.css. Nothing is loaded from another host."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

CSS = Path(__file__).resolve().parent.parent / "static/app.css"


def theme() -> gr.themes.Base:
    """Blue on neutral greys, in the system's own fonts; dark enough for small text on buttons and tabs."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Liberation Sans", "Arial", "sans-serif"],
        font_mono=["ui-monospace", "Liberation Mono", "monospace"],
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
    )
