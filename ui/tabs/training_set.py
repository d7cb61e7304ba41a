"""The tab Training set: look at what the model was trained on, and for one's own work in it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gradio as gr

from attribution_core.common.images import data_uri, read_image
from attribution_core.common.text import one_line
from attribution_core.corpus.search import Wanted
from attribution_core.errors import InvalidInputError
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION
from ui.services.app import Services
from ui.services.training_set import PAGE, TrainingSetServices
from ui.services.uploads import LARGEST, delete
from ui.services.visit import Seen
from ui.session import Session, image_file, place
from ui.widgets.facts import credit_facts, facts_list
from ui.widgets.picture_grid import picture_grid
from ui.widgets.status import status_line

ANY = "any"
_MOST_MAKERS = 500  # in the list of makers; a name beyond it is found by its words
_MINE = 112  # px; longer side of the visitor's image beside the answer
_OBJECT = "How to object to the use of a picture: {contact}"
_NO_CONTACT = (
    "This collection names nobody to write to about a picture. Ask whoever published it; its card can name a "
    "contact."
)


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    asked = TrainingSetServices(services)
    n_images = len(services.collection.corpus)

    def choices(name: str, most: int = _MOST_MAKERS) -> list[tuple[str, str]]:
        values = asked.search.values(name)[:most]
        return [(ANY, ""), *((f"{one_line(value)} ({count:,})", value) for value, count in values)]

    like = gr.State(None)
    with gr.Row(elem_id="set-search"):
        words = gr.Textbox(
            label="Search by words or maker",
            placeholder="rabbit",
            max_length=200,
            elem_id="set-words",
            scale=3,
        )
        makers = choices("creator")
        creator = gr.Dropdown(makers, value="", label="Maker", elem_id="set-maker", scale=2)
        style = gr.Dropdown(choices("style"), value="", label="Style", elem_id="set-style", scale=2)
        licence = gr.Dropdown(choices("licence"), value="", label="Licence", elem_id="set-licence", scale=2)
    said = gr.HTML(status_line(f"All {n_images:,} training images."), elem_id="set-words-found")
    with gr.Row(elem_id="set-row"):
        with gr.Column(scale=5, min_width=300):
            grid = picture_grid(
                label="Training images",
                columns=8,
                elem_id="set-grid",
                elem_classes="known",
            )
            with gr.Row(elem_id="set-pages"):
                before = gr.Button("← Previous", elem_id="set-before", min_width=110)
                page = gr.Number(1, label="Page", precision=0, minimum=1, elem_id="set-page", min_width=90)
                after = gr.Button("Next →", elem_id="set-after", min_width=110)
        with gr.Column(scale=2, min_width=260, elem_id="set-details"):
            chosen = gr.Image(
                label="Training image",
                interactive=False,
                elem_id="set-chosen",
                height=240,
                buttons=["fullscreen"],
                alt_text="the chosen training image",
                visible=False,
            )
            facts = gr.HTML(status_line("Choose an image to see who made it."), elem_id="set-facts")
            with gr.Row():
                alike = gr.Button("More like this", elem_id="set-alike", min_width=130, visible=False)
                by_maker = gr.Button(
                    "All by this maker", elem_id="set-by-maker", min_width=130, visible=False
                )
    gr.HTML("<h2>Is my work in here?</h2>", elem_classes="caption")
    with gr.Row(elem_id="set-mine-row"):
        mine = image_file(
            label="Drop in an image of yours",
            sources=["upload", "clipboard"],
            elem_id="set-mine",
            height=200,
            buttons=[],
            scale=1,
        )
        with gr.Column(scale=3, min_width=300):
            answer = gr.HTML(
                status_line("It is compared with every training image and forgotten at once."),
                elem_id="set-answer",
            )
            nearest = picture_grid(
                label="The training images nearest to yours",
                columns=8,
                elem_id="set-nearest",
                elem_classes="known",
                visible=False,
            )
    contact = asked.contact()
    gr.HTML(status_line(_OBJECT.format(contact=contact) if contact else _NO_CONTACT), elem_id="set-contact")

    fields = [words, creator, style, licence]
    number = gr.Number(1, precision=0, visible=False)  # which image; in the browser the click says it
    listed, position = gr.State([]), gr.State(None)

    def found(values: list[Any], like: int | None) -> Any:
        words, creator, style, licence = (str(value or "") for value in values)
        return asked.find(Wanted(words, creator, style, licence), like)

    def pictures(positions: Any) -> list[tuple[str, str]]:
        credits = services.collection.corpus.credits([int(i) for i in positions])
        return [
            (str(services.training_image(int(i))), one_line(credit.caption or credit.id))
            for i, credit in zip(positions, credits, strict=True)
        ]

    def draw(values: list[Any], like: int | None, page: float, visit: list[Seen]) -> list[Any]:
        positions = found(values, like)
        pages = max(1, math.ceil(len(positions) / PAGE))
        at = min(max(int(page), 1), pages)
        shown = positions[(at - 1) * PAGE : at * PAGE]
        fit = f"{len(positions):,} of {n_images:,} training images fit."
        if like is not None:
            name = services.collection.corpus.credit(like).caption or f"image {like}"
            text = f"The {len(positions)} training images most like “{one_line(name)}”, most similar first."
        elif not len(positions):
            text = "No training image fits. Try fewer words, or the singular."
        elif values[1]:
            text = asked.maker_words(str(values[1]), [seen.entry.attribution for seen in visit])
            if len(positions) < len(found(["", values[1], "", ""], None)):
                text = f"{fit} {text}"
        else:
            text = f"All {n_images:,} training images." if len(positions) == n_images else fit
        if pages > 1:
            text += f" Page {at} of {pages}."
        return [
            shown.tolist(),
            gr.update(value=pictures(shown), selected_index=None),
            status_line(text),
            at,
            gr.update(interactive=at > 1),
            gr.update(interactive=at < pages),
        ]

    @handler
    def browse(words: str, creator: str, style: str, licence: str, visit: list[Seen] | None) -> list[Any]:
        return [None, *draw([words, creator, style, licence], None, 1, visit or [])]

    @handler
    def turn(
        words: str,
        creator: str,
        style: str,
        licence: str,
        like: int | None,
        page: float,
        visit: list[Seen] | None,
    ) -> list[Any]:
        return draw([words, creator, style, licence], like, page, visit or [])

    @handler
    def choose(listed: list[int], number: float, event: gr.EventData) -> list[Any]:
        return details(listed[place(number, event, len(listed)) - 1])

    def details(at: int) -> list[Any]:
        corpus = services.collection.corpus
        credit = corpus.credit(at)
        return [
            at,
            gr.update(value=str(services.training_image(at)), visible=True),
            facts_list(
                one_line(credit.caption or credit.id), credit_facts(credit, stored=corpus.has_image(at))
            ),
            gr.update(visible=True),
            gr.update(visible=bool(credit.creator)),
        ]

    @handler
    def show_alike(position: int | None) -> list[Any]:
        if position is None:
            raise InvalidInputError("choose an image first.")
        return ["", "", "", "", position, *draw(["", "", "", ""], position, 1, [])]

    @handler
    def show_maker(position: int | None, visit: list[Seen] | None) -> list[Any]:
        if position is None:
            raise InvalidInputError("choose an image first.")
        creator = services.collection.corpus.credit(position).creator
        is_listed = creator in [value for _, value in makers]
        update = (
            creator
            if is_listed
            else gr.update(choices=[*makers, (one_line(creator), creator)], value=creator)
        )
        return ["", update, "", "", None, *draw(["", creator, "", ""], None, 1, visit or [])]

    @handler
    def look_for(path: str | None) -> list[Any]:
        if not path:
            raise InvalidInputError("no image was given; drop a file, paste an image or choose a file.")
        try:
            image = read_image(path, services.limits, LARGEST)
        finally:
            delete(Path(path))
        told = asked.presence(image)
        names = [
            (picture, f"{similarity:.2f} · {name}")
            for (picture, name), similarity in zip(pictures(told.ids), told.similarity, strict=True)
        ]
        own = f'<img src="{data_uri(image, _MINE)}" alt="your image">'
        words = f'<div class="about">{own}{status_line(told.words)}</div>'
        return [None, words, gr.update(value=names, visible=True)]

    shown = [listed, grid, said, page, before, after]
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    searching = {**quiet, "trigger_mode": "always_last", "api_name": "browse_training_set"}
    gr.on(
        [words.input, words.submit, creator.input, style.input, licence.input],
        browse,
        [*fields, session.ledger],
        [like, *shown],
        **searching,
    )
    turning = [*fields, like, page, session.ledger]
    page.submit(turn, turning, shown, api_name="turn_page", **quiet)
    session.tabs[0].select(turn, turning, shown, api_visibility="undocumented", **quiet)
    for button, step in ((before, -1), (after, 1)):
        button.click(
            turn,
            turning,
            shown,
            js=f"(...asked) => {{ asked[5] += {step}; return asked; }}",
            api_visibility="undocumented",
            **quiet,
        )
    grid.select(
        choose,
        [listed, number],
        [position, chosen, facts, alike, by_maker],
        api_name="choose_training_image",
        **quiet,
    )
    alike.click(show_alike, position, [*fields, like, *shown], api_visibility="undocumented", **quiet)
    by_maker.click(
        show_maker,
        [position, session.ledger],
        [*fields, like, *shown],
        api_visibility="undocumented",
        **quiet,
    )
    looked = mine.upload(
        look_for,
        mine,
        [mine, answer, nearest],
        api_name="find_my_work",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    looked.failure(None, None, mine, js="() => null")  # the file is gone
