"""The last question of the tab My artwork: what would a model draw that had learned from these images?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from attribution_core.analyses.artwork.lesson import LEARNING, MARK, STEPS, Lesson, WithAndWithout
from attribution_core.common.progress import Progress
from attribution_core.errors import InvalidInputError
from attribution_core.figures.artwork import moved
from attribution_core.reports.wording.artwork import lesson_sentence
from ui.handler import handler
from ui.server.lanes import GENERATION
from ui.services.artwork import PROMPTS, ArtworkServices, Desk
from ui.session import Session
from ui.widgets import artwork_html as words
from ui.widgets.recipe_fields import whole_number
from ui.widgets.status import progress_bar, status_line

THING, STYLE = "they show one thing", "they share a style"
_QUIET: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}


def build(
    session: Session, own: ArtworkServices, desk: gr.State, artist: gr.Textbox
) -> tuple[list[Any], list[Any]]:
    """Draw the part and wire it; return what is emptied with the desk, and the events that are stopped with it."""
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
        for event in own.ask_learned(
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
