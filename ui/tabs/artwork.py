"""The tab My artwork: an artist's own images beside the training set, and a model that learns from them on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from attribution_core.analyses.artwork.lesson import LEARNING, MARK, STEPS, Lesson, WithAndWithout
from attribution_core.analyses.artwork.standing import LONGEST_NAME, MOST_IMAGES
from attribution_core.analyses.artwork.survey import MOST_PROMPTS, Survey
from attribution_core.attribution.result import Attribution
from attribution_core.common.progress import Progress
from attribution_core.errors import InvalidInputError
from attribution_core.figures.artwork import beside_the_strongest, moved, ranks_by_prompt, shares_by_prompt
from attribution_core.reports.as_dict import standing_dict
from attribution_core.reports.wording.artwork import lesson_sentence, survey_sentence
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, GENERATION
from ui.services.app import Query, Services
from ui.services.artwork import PROMPTS, ArtworkServices, Desk
from ui.services.uploads import delete
from ui.session import KEEP_S, Session
from ui.widgets import artwork_html as words
from ui.widgets.recipe_fields import whole_number
from ui.widgets.status import progress_bar, status_line

THING, STYLE = "they show one thing", "they share a style"
SECTION = "artwork"
_QUIET: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    asked = ArtworkServices(services, services.uploads.folder)
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
    answers = [_credited(services, session, asked, desk, artist)]
    running: list[Any] = []
    if services.generator is not None:
        for part in (_prompts, _learned):
            shown, events = part(session, asked, desk, artist)
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
        found = asked.drop(kept, paths, request.session_hash or "")
        return [*laid(found), _without(told), *blank]

    @handler
    def forget_all(
        kept: Desk | None, told: dict[str, Any], paths: list[str] | None, request: gr.Request
    ) -> list[Any]:
        for path in paths or ():  # of a drop that was refused because the app was busy
            delete(Path(path))
        asked.leave(request.session_hash or "")
        if kept is not None:
            kept.forget()
        return ["", None, *laid(Desk()), _without(told), *blank]

    outputs = [desk, pieces, forget, session.told, *everything]
    dropped = upload.upload(
        drop,
        [desk, upload, session.told],
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
    forget.click(
        forget_all,
        [desk, session.told, upload],
        [artist, upload, *outputs],
        api_name="forget_artwork",
        cancels=running,
        queue=False,
        **_QUIET,
    )
    session.on_leave(asked.leave)
    _api(asked)


def _credited(
    services: Services, session: Session, asked: ArtworkServices, desk: gr.State, artist: gr.Textbox
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
        standing = asked.credited(kept, artist, method, query)
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
        [desk, artist, session.method, session.query, session.told],
        [session.told, *shown],
        api_name="ask_credited",
        api_visibility="undocumented",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    return shown


def _prompts(
    session: Session, asked: ArtworkServices, desk: gr.State, artist: gr.Textbox
) -> tuple[list[Any], list[Any]]:
    """The second question; gives what is emptied with the desk, and what is stopped with it."""
    gr.HTML("<h2>Which prompts come close to my work?</h2>", elem_classes="part")
    with gr.Row(elem_id="survey-row"):
        prompts = gr.Textbox(
            "\n".join(asked.prompts()),
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
        for event in asked.ask_prompts(kept, artist, method, prompts, whole_number(seed)):
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
        return "\n".join(asked.near(kept, artist, method))

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


def _learned(
    session: Session, asked: ArtworkServices, desk: gr.State, artist: gr.Textbox
) -> tuple[list[Any], list[Any]]:
    """The third question; gives what is emptied with the desk, and what is stopped with it."""
    styles = [
        str(name) for name, _ in session.services.collection.corpus.counts("style").most_common() if name
    ]
    usual = {kind: "\n".join(Lesson(style=kind == STYLE).examples(styles)) for kind in (THING, STYLE)}
    gr.HTML("<h2>What if the model had learned from me?</h2>", elem_classes="part")
    gr.HTML(words.LEARNING, elem_id="learn-what")
    with gr.Row(elem_id="learn-row"):
        prompts = gr.Textbox(
            usual[THING],
            label=f"Prompts with {MARK} for your work, one on a line, at most {PROMPTS}",
            lines=5,
            max_lines=PROMPTS,
            elem_id="learn-prompts",
            scale=3,
            min_width=280,
        )
        with gr.Column(scale=3, min_width=280):
            kind = gr.Radio(
                [THING, STYLE],
                value=THING,
                label="My images",
                elem_id="learn-kind",
                info="Works that differ in what they show mostly share a style.",
            )
            with gr.Row():
                subject = gr.Textbox(
                    "drawing",
                    label="What they show, in a word",
                    max_length=40,
                    lines=1,
                    elem_id="learn-subject",
                    min_width=150,
                )
                seed = gr.Number(1, label="Seed", precision=0, minimum=0, elem_id="learn-seed", min_width=100)
            steps = gr.Slider(*STEPS, LEARNING.steps, step=25, label="Learning steps", elem_id="learn-steps")
    with gr.Row():
        start = gr.Button(
            "Let it learn from me, and draw", variant="primary", elem_id="ask-learned", scale=3, min_width=200
        )
        stop = gr.Button("Stop", elem_id="stop-learned", scale=1, min_width=90)
    status = gr.HTML(elem_id="learn-status")
    with gr.Column(visible=False, elem_id="learned") as box:
        told = gr.HTML(elem_id="learned-words")
        pairs = gr.HTML(elem_id="learned-pairs")
        plot = gr.Plot(label="Your share before and after", elem_id="learned-plot")
        with gr.Accordion("The same as a table", open=False, elem_id="learned-fold"):
            table = gr.Dataframe(
                headers=words.MOVED,
                datatype=["str", *["number"] * 6],
                interactive=False,
                elem_id="learned-table",
                max_height=480,
            )
        gr.HTML(words.HOW_LEARNED, elem_id="learned-how")
    shown = [status, box, told, pairs, plot, table]

    @handler
    def ask_learned(
        kept: Desk | None,
        artist: str,
        method: str,
        kind: str,
        subject: str,
        steps: float,
        prompts: str,
        seed: int,
    ) -> Iterator[list[Any]]:
        lesson = Lesson(subject or "", kind == STYLE)
        for event in asked.ask_learned(
            kept, artist, method, lesson, whole_number(steps), prompts, whole_number(seed)
        ):
            if isinstance(event, Progress):
                yield [progress_bar(event), *[gr.skip()] * (len(shown) - 1)]
            elif isinstance(event, WithAndWithout):
                yield [
                    status_line(
                        "Done. The generator is as it was; what it learned from you is kept for your prompts "
                        "alone, until you forget your artwork."
                    ),
                    gr.update(visible=True),
                    words.headline(lesson_sentence(event), "" if event.risen else "spread"),
                    words.pairs(event),
                    moved(event),
                    words.moved_rows(event),
                ]

    @handler
    def other_kind(kind: str, prompts: str) -> Any:
        if kind not in usual:
            raise InvalidInputError(f"'My images' is {kind!r:.60}, expected one of: {', '.join(usual)}.")
        return usual[kind] if (prompts or "").strip() in usual.values() else gr.skip()

    kind.input(other_kind, [kind, prompts], prompts, api_name="learn_kind", queue=False, **_QUIET)
    asking = start.click(
        ask_learned,
        [desk, artist, session.method, kind, subject, steps, prompts, seed],
        shown,
        api_name="ask_learned",
        trigger_mode="multiple",
        time_limit=session.services.settings.learning_seconds,
        **_QUIET,
        **GENERATION,
    )
    stop.click(None, cancels=[asking], queue=False).then(
        lambda: status_line("Stopped. The generator is as it was."),
        None,
        status,
        api_name="stop_learned",
        queue=False,
        **_QUIET,
    )
    return shown, [asking]


def _api(asked: ArtworkServices) -> None:
    """A call without a page."""

    @handler
    def would_be_credited(
        artwork: list[gr.FileData], artist: str, image: gr.FileData, method: str = ""
    ) -> dict[str, Any]:
        """Say where an artist's images would stand among the training images of an image.

        Uploaded files are deleted as soon as they are read.
        """
        return standing_dict(asked.answer([file["path"] for file in artwork], artist, image["path"], method))

    gr.api(would_be_credited, api_name="would_be_credited", **ATTRIBUTION)


def _without(told: dict[str, Any] | None) -> dict[str, Any]:
    return {title: section for title, section in (told or {}).items() if title != SECTION}
