"""The part By patches of the tab Attribution: which training images each part of the image resembles."""

from __future__ import annotations

import gradio as gr

from attribution_core.analyses.patches import MOST
from ui.handler import handler
from ui.server.lanes import VIEWS
from ui.services.app import Query, Services
from ui.session import Session
from ui.widgets import patches_html as html
from ui.widgets import patches_texts as texts

_SHOWN = 8


def build(services: Services, session: Session) -> None:
    """Draw the part and wire it."""
    gr.HTML(html.head(services.counterfactual), elem_id="patches-words")
    count = len(services.collection.corpus)
    if count > MOST:
        gr.HTML(texts.TOO_MANY.format(most=MOST, count=count), elem_id="patches-found")
        return
    found = gr.HTML(texts.NO_IMAGE, elem_id="patches-found")

    @handler
    def show_patches(query: Query | None) -> str:
        if query is None:
            return texts.NO_IMAGE
        result = services.patches.attribute(query.image, _SHOWN)
        return html.found(result, query.image, services.collection.corpus)

    for follow, name in ((session.on_open, "show_patches"), (session.follow_return, "patches_returned")):
        follow(
            show_patches,
            [session.query],
            [found],
            api_name=name,
            api_visibility="undocumented",
            show_progress="minimal",
            **VIEWS,
        )
