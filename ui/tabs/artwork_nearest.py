"""What comes nearest to an artist's images, without another click: training images, then prompts that are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from attribution_core.analyses.artwork.survey import MOST_PROMPTS, Survey
from attribution_core.common.progress import Progress
from attribution_core.figures.artwork import ranks_by_prompt, shares_by_prompt
from attribution_core.reports.wording.artwork import nearest_sentence, survey_sentence
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, generation
from ui.services.artwork import DRAWN_AT_ONCE, ArtworkServices, Desk
from ui.session import Session
from ui.widgets import artwork_html as words
from ui.widgets import artwork_texts as texts
from ui.widgets.in_line import line
from ui.widgets.recipe_fields import whole_number
from ui.widgets.status import SAY_WAITING, WAITING, progress_bar, say_no_more, status_line

_QUIET: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}


@dataclass(frozen=True)
class NearestPart:
    """What the tab knows of this part.

    shown: what is emptied with the desk. running: events that draw when asked. follow: answers a drop, and gives the
    events that then run.
    """

    shown: list[Any]
    running: list[Any]
    follow: Callable[[Any], list[Any]]


def build(session: Session, own: ArtworkServices, desk: gr.State, artist: gr.Textbox) -> NearestPart:
    """Draw the part and wire it."""
    can_draw = session.services.generator is not None
    sentence = gr.HTML(elem_id="artwork-answer")
    beside = gr.HTML(elem_id="artwork-nearest")
    with gr.Column(visible=can_draw):
        gr.HTML(texts.CLOSEST, elem_classes="part")
        with gr.Row(elem_classes="stoppable"):
            status = line("survey-status")
            stop = gr.Button(texts.STOP, elem_id="stop-survey", scale=0, min_width=90)
        pictures = gr.HTML(elem_id="survey-pictures")
    if not can_draw:
        gr.HTML(status_line(texts.NO_GENERATOR), elem_id="no-generator")
    with (
        gr.Column(visible=False, elem_id="nearest") as box,
        gr.Accordion(texts.NUMBERS, open=False, elem_id="survey-fold"),
    ):
        similar = gr.HTML(elem_id="nearest-table")
        with gr.Column(visible=False, elem_id="survey") as drawn:
            with gr.Row():
                shares = gr.Plot(label="Shares by prompt", elem_id="survey-shares", min_width=280)
                ranks = gr.Plot(
                    label="Places of your images by prompt", elem_id="survey-ranks", min_width=280
                )
            table = gr.Dataframe(
                headers=texts.PROMPT_COLUMNS,
                datatype=["str", *["number"] * 6, "str", "number"],
                interactive=False,
                elem_id="survey-table",
                max_height=480,
            )
            gr.HTML(texts.HOW_SURVEY, elem_id="survey-how")
    with gr.Accordion(texts.OTHER_PROMPTS, open=False, elem_id="survey-more", visible=can_draw):
        prompts = gr.Textbox(
            label=texts.PROMPTS_LABEL, lines=4, max_lines=MOST_PROMPTS, elem_id="survey-prompts"
        )
        with gr.Row(elem_id="survey-ask-row"):
            seed = gr.Number(
                1, label=texts.SEED, precision=0, minimum=0, elem_id="survey-seed", min_width=110
            )
            find = gr.Button(texts.FIND_PROMPTS, elem_id="survey-near", min_width=200)
            start = gr.Button(texts.DRAW, variant="primary", elem_id="ask-survey", min_width=200)
    drop = gr.Number(0, precision=0, visible=False)  # the one whose prompts are drawn
    nearest_to = [sentence, beside, box, similar, status]
    survey = [status, sentence, pictures, drawn, shares, ranks, table]

    def answers(kept: Desk | None, artist: str, method: str, prompts: str, seed: int) -> Iterator[list[Any]]:
        nearest = nearest_sentence(own.nearest(kept, artist, method)[0])
        for event in own.ask_prompts(kept, artist, method, prompts, seed):
            if isinstance(event, Progress):
                yield [progress_bar(event), *[gr.skip()] * (len(survey) - 1)]
            elif isinstance(event, Survey):
                yield [
                    "",
                    words.answer(nearest, survey_sentence(event)),
                    words.survey_pictures(event),
                    gr.update(visible=True),
                    shares_by_prompt(event),
                    ranks_by_prompt(event),
                    words.survey_rows(event),
                ]

    @handler
    def show_nearest(kept: Desk | None, artist: str, method: str) -> list[Any]:
        found = own.nearest(kept, texts.named(artist), method)
        return [
            words.answer(nearest_sentence(found[0])),
            words.nearest_pairs(found, session.services.collection.corpus),
            gr.update(visible=True),
            words.nearest_table(found),
            WAITING if can_draw else "",
            kept.drops if kept is not None else 0,
        ]

    @handler
    def draw_nearest(
        kept: Desk | None, artist: str, method: str, seed: int, drop: int
    ) -> Iterator[list[Any]]:
        if kept is None or kept.drops != drop:  # while this waited, they were forgotten, or others came
            yield [gr.skip()] * len(survey)
            return
        name = texts.named(artist)
        wanted = "\n".join(own.near(kept, name, method, DRAWN_AT_ONCE))
        yield from answers(kept, name, method, wanted, whole_number(seed))

    @handler
    def draw_prompts(
        kept: Desk | None, artist: str, method: str, prompts: str, seed: int
    ) -> Iterator[list[Any]]:
        yield from answers(kept, texts.named(artist), method, prompts, whole_number(seed))

    @handler
    def find_prompts(kept: Desk | None, artist: str, method: str) -> str:
        return "\n".join(own.near(kept, texts.named(artist), method))

    def follow(dropped: Any) -> list[Any]:
        asked = [desk, artist, session.method]
        shown = dropped.success(
            show_nearest,
            asked,
            [*nearest_to, drop],
            api_name="nearest_to_artwork",
            **_QUIET,
            **ATTRIBUTION,
        )
        if not can_draw:
            return [shown]
        drawing = shown.success(
            draw_nearest,
            [*asked, seed, drop],
            survey,
            api_name="draw_nearest",
            api_visibility="undocumented",
            trigger_mode="multiple",
            **generation(status),
        )
        not_drawn = say_no_more(status_line(texts.NOT_DRAWN))
        drawing.failure(None, status, status, js=not_drawn, queue=False, show_progress="hidden")
        stop.click(None, cancels=[drawing], queue=False)
        return [shown, drawing]

    start.click(None, None, status, js=SAY_WAITING, queue=False, show_progress="hidden")
    asking = start.click(
        draw_prompts,
        [desk, artist, session.method, prompts, seed],
        survey,
        api_name="ask_survey",
        api_visibility="undocumented",
        trigger_mode="multiple",
        **generation(status),
    )
    asking.failure(None, status, status, js=say_no_more(), queue=False, show_progress="hidden")
    find.click(
        find_prompts,
        [desk, artist, session.method],
        prompts,
        api_name="near_prompts",
        **_QUIET,
        **ATTRIBUTION,
    )
    stop.click(None, cancels=[asking], queue=False).then(
        lambda: status_line(texts.STOPPED), None, status, api_name="stop_survey", queue=False, **_QUIET
    )
    return NearestPart([*nearest_to, pictures, drawn, shares, ranks, table], [asking], follow)
