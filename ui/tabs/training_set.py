"""The tab Training set: look at what the model was trained on, and for one's own work in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr

from attribution_core.common.images import data_uri, read_image
from attribution_core.common.text import one_line
from attribution_core.corpus.search import Wanted
from attribution_core.errors import AttributionError, InvalidInputError
from attribution_core.reports.exports.formats import EXPORTS, ExportFile
from ui.gradio_compat import PLOT_CHOICE
from ui.handler import as_words, handler
from ui.server.lanes import ATTRIBUTION
from ui.services.app import Services
from ui.services.place import MAX_WORDS, Place, checked_words
from ui.services.training_map import MapServices
from ui.services.training_set import PAGE, Found, TrainingSetServices
from ui.services.uploads import LARGEST, delete
from ui.services.visit import Seen
from ui.session import Session, as_file, image_file, place
from ui.tabs import training_map
from ui.widgets import training_set_texts as texts
from ui.widgets.address import HERE, KEEP_PLACE
from ui.widgets.lazy_download import made_on_click
from ui.widgets.picture_grid import picture_grid
from ui.widgets.set_links import maker_page, objection, suggestions
from ui.widgets.sheet import sheet, show_sheet
from ui.widgets.status import status_line

_MOST_MAKERS = 500  # in the list of makers; a name beyond it is found by its words
_SHOW_FOUND = """() => document.getElementById('set-words-found').scrollIntoView(
  {behavior: 'smooth', block: 'center'})"""
_NOTHING_OF_MINE = (
    f"""() => [null, {json.dumps(status_line(texts.PROMISE))}, {{__type__: 'update', visible: false}}]"""
)
_MINE = 112  # px; longer side of the visitor's image beside the answer


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    own = TrainingSetServices(services)
    contact = own.contact()
    with gr.Row(elem_id="set-search"):
        words = gr.Textbox(
            label=texts.WORDS,
            placeholder=texts.EXAMPLE,
            max_length=MAX_WORDS,
            elem_id="set-words",
            scale=3,
        )
        makers = _choices(own, "creator")
        creator = gr.Dropdown(makers, value="", label=texts.MAKER, elem_id="set-maker", scale=2)
        style = gr.Dropdown(_choices(own, "style"), value="", label=texts.STYLE, elem_id="set-style", scale=2)
        licence = gr.Dropdown(
            _choices(own, "licence"), value="", label=texts.LICENCE, elem_id="set-licence", scale=2
        )
    on_map = MapServices(own)
    choose_on_map, chosen_on_map = training_map.build(on_map, session)
    said = gr.HTML(elem_id="set-words-found")
    head = gr.HTML(elem_id="set-maker-page", visible=False)
    grid = picture_grid(label=texts.IMAGES, columns=8, elem_id="set-grid", elem_classes="known")
    with gr.Row(elem_id="set-pages"):
        before = gr.Button(texts.BEFORE, elem_id="set-before", min_width=110)
        page = gr.Number(1, label=texts.PAGE, precision=0, minimum=1, elem_id="set-page", min_width=90)
        after = gr.Button(texts.AFTER, elem_id="set-after", min_width=110)
    opened = gr.HTML(elem_id="set-sheet")
    gr.HTML(texts.MINE, elem_classes="caption")
    with gr.Row(elem_id="set-mine-row"):
        mine = image_file(
            label=texts.DROP,
            sources=["upload", "clipboard"],
            elem_id="set-mine",
            height=200,
            buttons=[],
            scale=1,
        )
        with gr.Column(scale=3, min_width=300):
            answer = gr.HTML(
                status_line(texts.PROMISE),
                elem_id="set-answer",
            )
            nearest = picture_grid(
                label=texts.NEAREST,
                columns=8,
                elem_id="set-nearest",
                elem_classes="known",
                visible=False,
            )
            gr.HTML(objection(contact), elem_id="set-contact")
    with gr.Accordion(texts.DESCRIBED, open=False, elem_id="set-exports-fold"):
        gr.HTML(status_line(texts.DESCRIPTIONS))
        with gr.Row(elem_id="set-exports"):
            for file in (file for files in EXPORTS.values() for file in files):
                name = re.sub(r"\W", "-", file.name.lower())
                made_on_click(
                    file.label,
                    _description(own, file),
                    [],
                    elem_id=f"export-{name}",
                    api_name=f"export_{name.replace('-', '_')}",
                    scale=0,
                    min_width=240,
                    size="md",
                )
    # Clicked by the script that follows links and the Back button; nobody sees it.
    reopen = gr.Button(texts.REOPEN, elem_id="set-open", elem_classes="unseen")

    fields = [words, creator, style, licence]
    listed_makers = frozenset(value for _, value in makers)
    number = gr.Number(1, precision=0, visible=False)  # which image; in the browser the click says it
    listed, like, picked = gr.State([]), gr.State(""), gr.State(None)
    address, drawn = gr.Textbox(visible=False), gr.Textbox(visible=False)
    drawings = count()  # numbers each sheet that is drawn

    def pictures(positions: Any) -> list[tuple[str, str]]:
        credits = services.collection.corpus.credits([int(i) for i in positions])
        return [
            (str(services.training_image(int(i))), one_line(credit.caption or credit.id))
            for i, credit in zip(positions, credits, strict=True)
        ]

    def draw(at: Place, visit: list[Seen] | None, picked: Found | None = None) -> list[Any]:
        found = picked or own.find(at)
        page = min(at.page, found.pages)
        start = (page - 1) * PAGE
        shown = found.positions[start : start + PAGE]
        maker = at.wanted.creator
        results = [seen.entry.attribution for seen in visit or []]
        return [
            shown.tolist(),
            gr.update(value=pictures(shown), selected_index=None),
            status_line(own.words(at, found, page)) + suggestions(found.suggestions) + _frames(found, start),
            gr.update(value=maker_page(own.maker(maker, results), contact), visible=True)
            if maker
            else gr.update(value="", visible=False),
            page,
            gr.update(interactive=page > 1),
            gr.update(interactive=page < found.pages),
            Place(at.wanted, at.like, page).address() if picked is None else "",
            picked,
        ]

    def details(position: int, at: int = 0, of: int = 1) -> list[Any]:
        corpus = services.collection.corpus
        credit = corpus.credit(position)
        picture, stored = services.thumbnail(position), corpus.has_image(position)
        drawn = str(next(drawings))
        return [drawn, sheet(credit, picture, stored=stored, drawn=drawn, at=at, count=of)]

    @handler
    def browse(words: str, creator: str, style: str, licence: str, visit: list[Seen] | None) -> list[Any]:
        return ["", *draw(Place(_wanted(words, creator, style, licence)), visit)]

    @handler
    def turn(
        words: str,
        creator: str,
        style: str,
        licence: str,
        like: str,
        page: float,
        visit: list[Seen] | None,
        picked: Found | None,
    ) -> list[Any]:
        at = Place(_wanted(words, creator, style, licence), like or "", max(int(page), 1))
        return draw(at, visit, picked)

    @handler
    def show_chosen(chosen: str, visit: list[Seen] | None) -> list[Any]:
        return ["", "", "", "", "", *draw(Place(), visit, on_map.chosen(chosen or ""))]

    @handler
    def open_place(address: str, visit: list[Seen] | None) -> list[Any]:
        try:
            at = Place.read(address or "")
            drawn = draw(at, visit)
            position = own.position(at.image) if at.image else None
        except AttributionError as error:
            gr.Warning(texts.WRONG_LINK.format(as_words(error)), title=texts.LINK_IGNORED)
            at, position = Place(), None
            drawn = draw(at, visit)
        wanted, listed = at.wanted, drawn[0]
        maker: dict[str, Any] = {"value": wanted.creator}
        if wanted.creator not in listed_makers:  # the list holds those of many images alone
            maker["choices"] = [*makers, (one_line(wanted.creator), wanted.creator)]
        filled = [
            wanted.words,
            gr.update(**maker),
            wanted.style,
            wanted.licence,
            at.like,
        ]
        if position is None:
            shown = ["", ""]
        elif position in listed:
            shown = details(position, listed.index(position), len(listed))
        else:
            shown = details(position)
        return [*filled, *drawn, *shown]

    @handler
    def choose(listed: list[int], number: float, event: gr.EventData) -> list[Any]:
        at = place(number, event, len(listed)) - 1
        return details(listed[at], at, len(listed))

    @handler
    def choose_nearest(listed: list[int], number: float, event: gr.EventData) -> list[Any]:
        return details(listed[place(number, event, len(listed)) - 1])

    @handler
    def look_for(path: str | None) -> list[Any]:
        if not path:
            raise InvalidInputError(texts.NO_FILE)
        try:
            image = read_image(path, services.limits, LARGEST)
        finally:
            delete(Path(path))
        told = own.presence(image)
        names = [
            (picture, f"{similarity:.2f} · {name}")
            for (picture, name), similarity in zip(pictures(told.ids), told.similarity, strict=True)
        ]
        thumbnail = f'<img src="{data_uri(image, _MINE)}" alt="{texts.YOUR_IMAGE}">'
        words = f'<div class="about">{thumbnail}{status_line(told.words)}</div>'
        return [None, words, gr.update(value=names, visible=True), told.ids.tolist()]

    shown = [listed, grid, said, head, page, before, after, address, picked]
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    searching = {**quiet, "trigger_mode": "always_last", "api_name": "browse_training_set"}
    gr.on(
        [words.input, words.submit, creator.input, style.input, licence.input],
        browse,
        [*fields, session.ledger],
        [like, *shown],
        **searching,
    )
    choose_on_map.click(
        show_chosen,
        [chosen_on_map, session.ledger],
        [*fields, like, *shown],
        js=PLOT_CHOICE,
        api_name="choose_on_map",
        api_visibility="undocumented",
        trigger_mode="always_last",
        **quiet,
    ).success(None, js=_SHOW_FOUND)
    turning = [*fields, like, page, session.ledger, picked]
    page.submit(turn, turning, shown, api_name="turn_page", **quiet)
    for button, step in ((before, -1), (after, 1)):
        button.click(
            turn,
            turning,
            shown,
            js=f"(...asked) => {{ asked[5] += {step}; return asked; }}",
            api_visibility="undocumented",
            **quiet,
        )
    gr.on(
        [session.tabs[0].select, reopen.click],
        open_place,
        [address, session.ledger],
        [*fields, like, *shown, drawn, opened],
        js=HERE,
        api_name="open_training_set",
        api_visibility="undocumented",
        trigger_mode="always_last",  # "once" would drop a Forward that comes before the answer to Back
        **quiet,
    ).success(None, drawn, js=show_sheet(chosen=False))
    address.change(None, address, js=KEEP_PLACE)
    beside, detailed = gr.State([]), [drawn, opened]
    chosen = grid.select(choose, [listed, number], detailed, api_name="choose_training_image", **quiet)
    of_mine = nearest.select(
        choose_nearest, [beside, number], detailed, api_visibility="undocumented", **quiet
    )
    for event in (chosen, of_mine):
        event.success(None, drawn, js=show_sheet(chosen=True))
    looked = mine.upload(
        look_for,
        mine,
        [mine, answer, nearest, beside],
        api_name="find_my_work",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    # the file is gone, and what was found of the one before is not of this one
    looked.failure(None, None, [mine, answer, nearest], js=_NOTHING_OF_MINE)


def _description(own: TrainingSetServices, file: ExportFile) -> Callable[[], str]:
    @handler
    def describe() -> str:
        return as_file(own.described(file).encode(), file.name)

    return describe


def _choices(own: TrainingSetServices, name: str) -> list[tuple[str, str]]:
    values = own.search.values(name)[:_MOST_MAKERS]
    return [(texts.ANY, ""), *((f"{one_line(value)} ({count:,})", value) for value, count in values)]


def _wanted(words: str | None, creator: str | None, style: str | None, licence: str | None) -> Wanted:
    return Wanted(checked_words(words), creator or "", style or "", licence or "")


def _frames(found: Found, start: int) -> str:
    """A style sheet: images that are only similar by meaning have dashed frames."""
    first = max(found.said - start, 0) + 1
    if found.said == len(found.positions) or first > PAGE:
        return ""
    return (
        f"<style>#set-grid .grid-container > :nth-child(n+{first}) {{ border: 2px dashed #767676; }}</style>"
    )
