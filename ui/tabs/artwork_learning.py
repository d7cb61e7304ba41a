"""The last question of the tab My artwork: what would a model draw that had learned from these images?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from attribution_core.analyses.artwork.lesson import LEARNING, MOST_SUBJECT, STEPS, Lesson, WithAndWithout
from attribution_core.common.progress import Progress
from attribution_core.errors import InvalidInputError
from attribution_core.figures.artwork import moved
from attribution_core.reports.wording.artwork import lesson_sentence
from ui.handler import handler
from ui.server.lanes import generation
from ui.services.artwork import PROMPTS, ArtworkServices, Desk
from ui.session import Session
from ui.widgets import artwork_html as words
from ui.widgets import artwork_texts as texts
from ui.widgets.in_line import line
from ui.widgets.recipe_fields import whole_number
from ui.widgets.status import SAY_WAITING, progress_bar, say_no_more, status_line

_QUIET: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}


def build(
    session: Session, own: ArtworkServices, desk: gr.State, artist: gr.Textbox
) -> tuple[list[Any], list[Any]]:
    """Draw the part and wire it; return what is emptied with the desk, and the events that are stopped with it."""
    styles = [
        str(name) for name, _ in session.services.collection.corpus.counts("style").most_common() if name
    ]
    usual = {
        kind: "\n".join(Lesson(style=kind == texts.STYLE).examples(styles))
        for kind in (texts.THING, texts.STYLE)
    }
    gr.HTML(texts.LEARNED, elem_classes="part")
    if own.example is not None:
        gr.HTML(words.example(own.example), elem_id="learn-example")
    kind = gr.Radio([texts.THING, texts.STYLE], value=texts.THING, label=texts.KIND, elem_id="learn-kind")
    start = gr.Button(texts.LEARN, variant="primary", elem_id="ask-learned")
    gr.HTML(status_line(texts.LEARN_TIME), elem_id="learn-what")
    with gr.Accordion(texts.LEARN_MORE, open=False, elem_id="learn-more"):
        prompts = gr.Textbox(
            usual[texts.THING],
            label=texts.LEARN_PROMPTS,
            lines=4,
            max_lines=PROMPTS,
            elem_id="learn-prompts",
        )
        with gr.Row():
            subject = gr.Textbox(
                "drawing",
                label=texts.SUBJECT,
                max_length=MOST_SUBJECT,
                lines=1,
                elem_id="learn-subject",
                min_width=200,
            )
            seed = gr.Number(1, label=texts.SEED, precision=0, minimum=0, elem_id="learn-seed", min_width=110)
            steps = gr.Slider(
                *STEPS, LEARNING.steps, step=25, label=texts.STEPS_LABEL, elem_id="learn-steps", min_width=240
            )
    with gr.Row(elem_classes="stoppable"):
        status = line("learn-status")
        stop = gr.Button(texts.STOP, elem_id="stop-learned", scale=0, min_width=90)
    with gr.Column(visible=False, elem_id="learned") as box:
        sentence = gr.HTML(elem_id="learned-words")
        pairs = gr.HTML(elem_id="learned-pairs")
        with gr.Accordion(texts.NUMBERS, open=False, elem_id="learned-fold"):
            plot = gr.Plot(label="Your share before and after", elem_id="learned-plot")
            table = gr.Dataframe(
                headers=texts.MOVED,
                datatype=["str", *["number"] * 6],
                interactive=False,
                elem_id="learned-table",
                max_height=480,
            )
            gr.HTML(texts.HOW_LEARNED, elem_id="learned-how")
    shown = [status, box, sentence, pairs, plot, table]

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
        lesson = Lesson(subject or "", kind == texts.STYLE)
        for event in own.ask_learned(
            kept, texts.named(artist), method, lesson, whole_number(steps), prompts, whole_number(seed)
        ):
            if isinstance(event, Progress):
                yield [progress_bar(event), *[gr.skip()] * (len(shown) - 1)]
            elif isinstance(event, WithAndWithout):
                yield [
                    status_line(texts.LEARN_DONE),
                    gr.update(visible=True),
                    words.headline(lesson_sentence(event), "" if event.can_be_seen else "spread"),
                    words.pairs(event),
                    moved(event),
                    words.moved_rows(event),
                ]

    @handler
    def other_kind(kind: str, prompts: str) -> Any:
        if kind not in usual:
            raise InvalidInputError(f"'{texts.KIND}' is {kind!r:.60}, expected one of: {', '.join(usual)}.")
        return usual[kind] if (prompts or "").strip() in usual.values() else gr.skip()

    kind.input(other_kind, [kind, prompts], prompts, api_name="learn_kind", queue=False, **_QUIET)
    start.click(None, None, status, js=SAY_WAITING, queue=False, show_progress="hidden")
    asking = start.click(
        ask_learned,
        [desk, artist, session.method, kind, subject, steps, prompts, seed],
        shown,
        api_name="ask_learned",
        api_visibility="undocumented",
        trigger_mode="multiple",
        time_limit=session.services.settings.learning_seconds,
        **generation(status),
    )
    asking.failure(None, status, status, js=say_no_more(), queue=False, show_progress="hidden")
    stop.click(None, cancels=[asking], queue=False).then(
        lambda: status_line(texts.LEARN_STOPPED),
        None,
        status,
        api_name="stop_learned",
        queue=False,
        **_QUIET,
    )
    return shown, [asking]
