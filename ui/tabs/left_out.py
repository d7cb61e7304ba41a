"""The part Left out of the tab Evidence: what models draw, and lose, that never saw some training images."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from attribution_core.evidence.counterfactual import Asked
from attribution_core.figures import evidence as figures
from ui.handler import handler
from ui.services.app import Services
from ui.session import Session
from ui.widgets import left_out_html as html
from ui.widgets import left_out_texts as texts

_ASKED = {texts.MADE: "made", texts.HELD_OUT: "held_out"}


def build(services: Services, session: Session) -> None:
    """Draw pairs of pictures, and how well each method predicts what leaving out does."""
    found = services.counterfactual
    if found is None:
        gr.HTML(texts.NONE, elem_id="left-out-words")
        return
    gr.HTML(html.head(found, services.collection.method), elem_id="left-out-words")
    styles = list(found.prompts)
    style = gr.Radio(styles, value=styles[0], label=texts.STYLE, elem_id="left-out-style")
    gr.HTML(texts.PAIRS)
    pairs = gr.HTML(html.pairs(found.pairs(styles[0])), elem_id="left-out-pairs")
    gr.HTML(texts.METHODS.format(halves=found.made.halves), elem_classes="caption")
    asked = gr.Radio(list(_ASKED), value=texts.MADE, label=texts.ASKED, elem_id="left-out-asked")
    plot = gr.Plot(figures.left_out(found.made), label=texts.PLOT, elem_id="left-out-lds")
    table = gr.HTML(html.table(found.made), elem_id="left-out-table")
    gr.HTML(texts.LIMITS.format(date=escape(found.date)), elem_id="left-out-limits")

    @handler
    def show_pairs(style: str) -> str:
        return html.pairs(found.pairs(style))

    @handler
    def show_methods(asked: str) -> list[Any]:
        chosen: Asked = getattr(found, _ASKED[asked])
        return [figures.left_out(chosen), html.table(chosen)]

    style.input(show_pairs, style, pairs, api_visibility="undocumented", show_progress="hidden")
    asked.input(show_methods, asked, [plot, table], api_visibility="undocumented", show_progress="hidden")
