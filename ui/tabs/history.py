"""The images of this visit beside the head of the page; a click brings one back as it was."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.handler import handler
from ui.services.visit import Seen, returnable
from ui.session import Session, place
from ui.widgets.picture_grid import picture_grid
from ui.widgets.recipe_fields import filled_in


def build(session: Session) -> None:
    """Draw the strip; it is there from the first attributed image on."""
    with gr.Column(elem_id="history-box", visible=False, min_width=260) as box:
        gr.HTML("<p class='status'>This visit, latest first; choose one to come back to it</p>")
        strip = picture_grid(
            label="Images of this visit",
            columns=30,
            rows=1,
            elem_id="history",
            format="png",
        )
    session.strip = strip
    session.add_visit_view([box, strip], lambda seen: [gr.update(visible=bool(seen)), _pictures(seen)])


def wire(session: Session) -> None:
    """Bring back what is chosen; after the tabs are built, whose fields it fills."""
    number = gr.Number(1, precision=0, visible=False)  # which one; in the browser the click says it

    @handler
    def return_to(seen: list[Seen] | None, number: float, event: gr.EventData) -> list[Any]:
        known = returnable(seen)
        chosen = known[place(number, event, len(known)) - 1]
        made = chosen.entry.recipe
        fields = [gr.skip()] * len(session.fields) if made is None else filled_in(made)
        return [chosen.query, chosen.query, chosen.entry.attribution, chosen.entry.method, *fields]

    session.draw_after(
        session.strip.select(
            return_to,
            [session.ledger, number],
            [session.made, session.query, session.result, session.method, *session.fields],
            api_name="return_to",
            show_progress="hidden",
        )
    )


def _pictures(seen: list[Seen]) -> Any:
    return gr.update(value=[(s.thumbnail, s.entry.title) for s in returnable(seen)], selected_index=None)
