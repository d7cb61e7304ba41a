"""The tab My artwork: an artist's own images beside the training set, and a model that learns from them on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from attribution_core.analyses.artwork.standing import LONGEST_NAME, MOST_IMAGES
from attribution_core.analyses.artwork.survey import MOST_PROMPTS, Survey
from attribution_core.attribution.result import Attribution
from attribution_core.common.progress import Progress
from attribution_core.figures.artwork import beside_the_strongest, ranks_by_prompt, shares_by_prompt
from attribution_core.reports.as_dict import standing_dict
from attribution_core.reports.wording.artwork import survey_sentence
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, GENERATION
from ui.services.app import Query, Services
from ui.services.artwork import ArtworkServices, Desk
from ui.services.uploads import delete
from ui.session import KEEP_S, Session
from ui.tabs import artwork_learning
from ui.widgets import artwork_html as words
from ui.widgets.recipe_fields import whole_number
from ui.widgets.status import progress_bar, status_line

SECTION = "artwork"
_QUIET: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    own = ArtworkServices(services, services.uploads.folder)
    desk = gr.State(None, time_to_live=KEEP_S)
    gr.HTML(words.WHAT, elem_id="artwork-what")
    with gr.Row(elem_id="artwork-row"):
        with gr.Column(scale=2, min_width=280):
            artist = gr.Textbox(
                label="Your name",
                placeholder="or a pen name",
                max_length=LONGEST_NAME,
                lines=1,
                elem_id="artist",
            )
            upload = gr.File(
                label=f"1 to {MOST_IMAGES} images of yours",
                file_count="multiple",
                file_types=["image"],
                elem_id="artwork-upload",
                height=170,
            )
            forget = gr.Button("Forget my artwork", elem_id="forget-artwork", interactive=False)
        with gr.Column(scale=3, min_width=300):
            pieces = gr.HTML(words.pieces(Desk()), elem_id="artwork-pieces")
            gr.HTML(words.PRIVACY, elem_id="artwork-privacy")
    beside = gr.HTML(elem_id="artwork-nearest")
    answers = [[beside], _credited(services, session, own, desk, artist)]
    running: list[Any] = []
    if services.generator is not None:
        for part in (_prompts, artwork_learning.build):
            shown, events = part(session, own, desk, artist)
            answers.append(shown)
            running += events
    else:
        gr.HTML(
            "<p class='status'>This collection has no generator: which prompts come close to your work, and what a "
            "model that learned from you would draw, cannot be asked here.</p>"
        )
    everything = [component for shown in answers for component in shown]
    blank = [
        gr.update(visible=False) if isinstance(c, gr.Column) else "" if isinstance(c, gr.HTML) else None
        for c in everything
    ]

    def laid(kept: Desk) -> list[Any]:
        return [kept, words.pieces(kept), gr.update(interactive=bool(kept.images))]

    @handler
    def drop(
        kept: Desk | None, paths: list[str] | None, told: dict[str, Any], request: gr.Request
    ) -> list[Any]:
        found = own.drop(kept, paths, request.session_hash or "")
        return [*laid(found), _without(told), *blank]

    @handler
    def forget_all(
        kept: Desk | None, told: dict[str, Any], paths: list[str] | None, request: gr.Request
    ) -> list[Any]:
        for path in paths or ():  # of a drop that was refused because the app was busy
            delete(Path(path))
        own.leave(request.session_hash or "")
        if kept is not None:
            kept.forget()
        return ["", None, *laid(Desk()), _without(told), *blank]

    @handler
    def show_nearest(kept: Desk | None, method: str) -> str:
        return words.nearest(own.nearest(kept, method), services.collection.corpus)

    outputs = [desk, pieces, forget, session.extra_sections, *everything]
    dropped = upload.upload(
        drop,
        [desk, upload, session.extra_sections],
        outputs,
        api_name="drop_artwork",
        api_visibility="undocumented",
        show_progress="minimal",
    )
    # Also of a drop that is refused because the app is busy, so that it can be forgotten.
    upload.upload(None, None, forget, js="() => ({__type__: 'update', interactive: true})", queue=False)
    # The files are gone, so their names must go, too, also where one of them could not be read.
    for number, ended in enumerate((dropped.success, dropped.failure), 1):
        ended(lambda: None, None, upload, api_name=f"empty_drop_{number}", queue=False, **_QUIET)
    dropped.success(
        show_nearest, [desk, session.method], beside, api_name="nearest_to_artwork", **_QUIET, **ATTRIBUTION
    )
    forget.click(
        forget_all,
        [desk, session.extra_sections, upload],
        [artist, upload, *outputs],
        api_name="forget_artwork",
        cancels=running,
        queue=False,
        **_QUIET,
    )
    session.on_leave(own.leave)
    _api(own)


def _credited(
    services: Services, session: Session, own: ArtworkServices, desk: gr.State, artist: gr.Textbox
) -> list[Any]:
    """The first question; gives what is emptied with the desk."""
    gr.HTML("<h2>Would I be credited for the image shown now?</h2>", elem_classes="part")
    with gr.Row(elem_id="credited-row"):
        about = gr.HTML(words.about(None), elem_id="credited-about")
        ask = gr.Button(
            "Would I be credited?", variant="primary", elem_id="ask-credited", scale=0, min_width=230
        )
    with gr.Column(visible=False, elem_id="credited") as box:
        told = gr.HTML(elem_id="credited-words")
        tiles = gr.HTML(elem_id="credited-tiles")
        plot = gr.Plot(label="Your images beside the strongest training images", elem_id="credited-plot")
        with gr.Accordion("The same as a table", open=False, elem_id="credited-fold"):
            table = gr.Dataframe(
                headers=words.PIECES,
                datatype=["number", "str", *["number"] * 6],
                interactive=False,
                elem_id="credited-table",
                max_height=420,
            )
        gr.HTML(words.HOW_CREDITED, elem_id="credited-how")
    shown = [box, told, tiles, plot, table]

    @handler
    def ask_credited(
        kept: Desk | None, artist: str, method: str, query: Query | None, sections: dict[str, Any]
    ) -> list[Any]:
        standing = own.credited(kept, artist, method, query)
        sections = {**(sections or {}), SECTION: (query, words.section(standing))}
        return [
            sections,
            gr.update(visible=True),
            words.credited(standing, query),
            words.credited_tiles(standing),
            beside_the_strongest(standing),
            words.piece_rows(standing),
        ]

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        return [words.about(query), gr.update(visible=False), "", "", None, None]

    session.add_view([about, *shown], draw)
    ask.click(
        ask_credited,
        [desk, artist, session.method, session.query, session.extra_sections],
        [session.extra_sections, *shown],
        api_name="ask_credited",
        api_visibility="undocumented",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    return shown


def _prompts(
    session: Session, own: ArtworkServices, desk: gr.State, artist: gr.Textbox
) -> tuple[list[Any], list[Any]]:
    """The second question; gives what is emptied with the desk, and what is stopped with it."""
    gr.HTML("<h2>Which prompts come close to my work?</h2>", elem_classes="part")
    with gr.Row(elem_id="survey-row"):
        prompts = gr.Textbox(
            "\n".join(own.prompts()),
            label=f"Prompts, one on a line, at most {MOST_PROMPTS}",
            lines=5,
            max_lines=MOST_PROMPTS,
            elem_id="survey-prompts",
            scale=4,
            min_width=280,
        )
        with gr.Column(scale=2, min_width=230):
            seed = gr.Number(1, label="Seed", precision=0, minimum=0, elem_id="survey-seed")
            near = gr.Button("Prompts of the images closest to mine", elem_id="survey-near")
    with gr.Row():
        start = gr.Button(
            "Draw them and ask", variant="primary", elem_id="ask-survey", scale=3, min_width=200
        )
        stop = gr.Button("Stop", elem_id="stop-survey", scale=1, min_width=90)
    status = gr.HTML(elem_id="survey-status")
    with gr.Column(visible=False, elem_id="survey") as box:
        told = gr.HTML(elem_id="survey-words")
        pictures = gr.HTML(elem_id="survey-pictures")
        with gr.Row():
            shares = gr.Plot(label="Shares by prompt", elem_id="survey-shares", min_width=300)
            ranks = gr.Plot(label="Ranks of your images by prompt", elem_id="survey-ranks", min_width=300)
        with gr.Accordion("The same as a table", open=False, elem_id="survey-fold"):
            table = gr.Dataframe(
                headers=words.PROMPTS,
                datatype=["str", *["number"] * 6, "str", "number"],
                interactive=False,
                elem_id="survey-table",
                max_height=480,
            )
        gr.HTML(words.HOW_SURVEY, elem_id="survey-how")
    shown = [status, box, told, pictures, shares, ranks, table]

    @handler
    def ask_survey(
        kept: Desk | None, artist: str, method: str, prompts: str, seed: int
    ) -> Iterator[list[Any]]:
        for event in own.ask_prompts(kept, artist, method, prompts, whole_number(seed)):
            if isinstance(event, Progress):
                yield [progress_bar(event), *[gr.skip()] * (len(shown) - 1)]
            elif isinstance(event, Survey):
                yield [
                    "",
                    gr.update(visible=True),
                    words.headline(survey_sentence(event), "spread"),
                    words.survey_pictures(event),
                    shares_by_prompt(event),
                    ranks_by_prompt(event),
                    words.survey_rows(event),
                ]

    @handler
    def find_prompts(kept: Desk | None, artist: str, method: str) -> str:
        return "\n".join(own.near(kept, artist, method))

    asking = start.click(
        ask_survey,
        [desk, artist, session.method, prompts, seed],
        shown,
        api_name="ask_survey",
        trigger_mode="multiple",
        **_QUIET,
        **GENERATION,
    )
    near.click(
        find_prompts,
        [desk, artist, session.method],
        prompts,
        api_name="near_prompts",
        **_QUIET,
        **ATTRIBUTION,
    )
    stop.click(None, cancels=[asking], queue=False).then(
        lambda: status_line("Stopped."), None, status, api_name="stop_survey", queue=False, **_QUIET
    )
    return shown, [asking]


def _api(own: ArtworkServices) -> None:
    """A call without a page."""

    @handler
    def would_be_credited(
        artwork: list[gr.FileData], artist: str, image: gr.FileData, method: str = ""
    ) -> dict[str, Any]:
        """Say where an artist's images would stand among the training images of an image.

        Uploaded files are deleted as soon as they are read.
        """
        return standing_dict(own.answer([file["path"] for file in artwork], artist, image["path"], method))

    gr.api(would_be_credited, api_name="would_be_credited", **ATTRIBUTION)


def _without(told: dict[str, Any] | None) -> dict[str, Any]:
    return {title: section for title, section in (told or {}).items() if title != SECTION}
