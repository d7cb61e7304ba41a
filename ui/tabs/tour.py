"""The tour above the tabs: three cases in a minute, started by a link in the head or by `?tour`, and a handout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urljoin

import gradio as gr

from attribution_core.reports.handout import handout_page
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, generation
from ui.services.tour import MEMORIZED, TourServices
from ui.session import as_file
from ui.widgets import tour_html as words
from ui.widgets.in_line import line
from ui.widgets.lazy_download import made_on_click

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden"}


def build(tour: TourServices, page: gr.Blocks) -> None:
    """Draw the tour, out of sight, and wire it; only for a collection that has stops."""
    kinds = tour.kinds
    opened = gr.Button("Take the tour", elem_id="tour-open", elem_classes="unseen")
    shown = gr.Button("Show this stop", elem_id="tour-show", elem_classes="unseen")
    with gr.Column(visible=False, elem_id="tour") as panel:
        gr.HTML(f"<p class='status'>{tour.about}</p>")
        stops = []
        with gr.Walkthrough(selected=1, elem_id="tour-steps") as steps:
            for number, kind in enumerate(kinds, 1):
                with gr.Step(kind, id=number):
                    stops.append(line(f"tour-{number}"))
                    if number == len(kinds):
                        gr.HTML(words.WHAT_NOW, elem_id="tour-what-now")
                    with gr.Row():
                        if number > 1:
                            back = _button("Back", f"tour-back-{number}")
                            back.click(None, js=words.back(number - 1), **_QUIET)
                        if number < len(kinds):
                            _goes(_button("Next", f"tour-next-{number}", "primary"), tour=str(number + 1))
                        else:
                            own = _button(tour.ask_for_own, "tour-own", "primary", width=240)
                            _goes(own, tour="", tab="generate")
                            artwork = _button("Add your artwork", "tour-artwork", "primary", width=180)
                            _goes(artwork, tour="", tab="my-artwork")
        with gr.Row(elem_id="tour-buttons"):
            made_on_click(
                "Handout to print",
                _handout(tour),
                [],
                elem_id="tour-handout",
                api_name="tour_handout",
                scale=0,
                min_width=160,
                size="md",
            )
            _goes(_button("Close the tour", "tour-close"), tour="")
    for button in (opened, shown):
        button.click(None, None, [panel, steps], js=words.show(len(kinds)), **_QUIET)
    for number, (kind, stop) in enumerate(zip(kinds, stops, strict=True), 1):
        lane = generation(stop) if kind == MEMORIZED else {"show_progress": "minimal", **ATTRIBUTION}
        opened.click(
            _show(tour, kind),
            None,
            stop,
            api_name=f"tour_stop_{number}",
            api_visibility="undocumented",
            trigger_mode="once",
            **lane,
        )
    page.load(None, js=words.WATCH_ADDRESS)


def _button(
    label: str, name: str, variant: Literal["primary", "secondary"] = "secondary", width: int = 140
) -> gr.Button:
    return gr.Button(label, elem_id=name, variant=variant, size="md", scale=0, min_width=width)


def _goes(button: gr.Button, **address: str) -> None:
    button.click(None, js=words.go(**address), **_QUIET)


def _show(tour: TourServices, kind: str) -> Callable[[], str]:
    @handler
    def tour_stop() -> str:
        return words.stop_html(tour.stop(kind))

    return tour_stop


def _handout(tour: TourServices) -> Callable[..., str]:
    @handler
    def tour_handout(request: gr.Request) -> str:
        stops = [stop for kind in tour.kinds if (stop := tour.stop(kind)) is not None]
        page = handout_page(
            tour.collection, tour.about, stops, address=_tour_at(request.headers.get("referer"))
        )
        return as_file(page.encode(), "handout.html")

    return tour_handout


def _tour_at(page: str | None) -> str:
    """The address of the tour. page: the address that the browser says it asks from; None where it says none."""
    return urljoin(page, "?tour") if page else ""
