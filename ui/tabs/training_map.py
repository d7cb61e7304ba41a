"""The map in the tab Training set: a fold that is empty until somebody opens it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from attribution_core.attribution.result import Attribution
from attribution_core.common.text import one_line
from attribution_core.errors import AttributionError
from attribution_core.figures.training_map import drawn, training_map
from ui.gradio_compat import watch_plot
from ui.handler import handler
from ui.services.app import Query
from ui.services.training_map import ColourBy, MapServices
from ui.session import Session
from ui.widgets import training_set_texts as texts
from ui.widgets.status import NOTHING_YET, status_line

_PLOT, _CHOOSE, _FOLD = "set-map", "set-map-choose", "set-map-fold"
_CHOICES = [(by.name.capitalize(), str(by)) for by in ColourBy]
_IS_OPEN = f"""(seen, ...asked) =>
  [Boolean(document.querySelector('#{_FOLD} > button.label-wrap.open')), ...asked]"""


def build(own: MapServices, session: Session) -> tuple[gr.Button, gr.Textbox]:
    """Draw the fold and wire it.

    Returns a button that is pressed when something was chosen on the map, and what is to be given as text by the script
    `PLOT_CHOICE`.
    """
    with gr.Accordion(texts.MAP, open=False, elem_id=_FOLD) as fold:
        words = gr.HTML(elem_id="set-map-words")
        by = gr.Radio(
            _CHOICES, value=str(ColourBy.MAKER), label=texts.COLOUR_BY, elem_id="set-map-by", visible=False
        )
        plot = gr.Plot(show_label=False, elem_id=_PLOT, visible=False)
    choose = gr.Button(texts.MAP_CHOSEN, elem_id=_CHOOSE, elem_classes="unseen")
    chosen, in_sight, kept = gr.Textbox(visible=False), gr.Checkbox(True, visible=False), gr.State("")

    @handler
    def show(
        in_sight: bool, by: str, kept: str | None, query: Query | None, result: Attribution | None
    ) -> list[Any]:
        wanted = ColourBy(by) if by in list(ColourBy) else ColourBy.MAKER
        state = f"{wanted} {query.key} {result.method}" if query and result else f"{wanted}"
        if not in_sight or state == kept:
            return [gr.skip()] * 4
        try:
            points = own.map.points
        except AttributionError as error:
            unseen = gr.update(visible=False)
            return ["", status_line(str(error)), unseen, unseen]
        of_image = wanted is ColourBy.INFLUENCE
        figure = training_map(
            points,
            own.captions,
            None if of_image else own.coloured(wanted),
            own.influences(result) if of_image and result else None,
            own.here(query, result) if query and result else None,
        )
        said = [texts.MAP_HELP]
        if query and result:
            said.append(texts.MAP_HERE.format(one_line(query.title)))
        elif of_image:
            said.append(NOTHING_YET)
        if (count := len(drawn(len(points)))) < len(points):
            said.append(texts.MAP_SAMPLE.format(count, len(points)))
        return [
            state,
            status_line(" ".join(said)),
            gr.update(visible=True),
            gr.update(value=figure, visible=True),
        ]

    asked, outputs = [in_sight, by, kept, session.query, session.result], [kept, words, by, plot]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "undocumented"}
    watch = watch_plot(_PLOT, _CHOOSE)
    fold.expand(show, asked, outputs, api_name="open_map", **quiet).success(None, js=watch)
    by.input(show, asked, outputs, api_name="colour_map", trigger_mode="always_last", **quiet).success(
        None, js=watch
    )
    session.on_open(show, asked, outputs, js=_IS_OPEN, api_name="map_in_sight", **quiet)
    return choose, chosen
