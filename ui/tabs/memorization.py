"""The tab Memorization: is the image a copy of a training image, where do both agree, did the words pull hard?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from attribution_core.analyses.memorization.overlays import difference, heat, shown
from attribution_core.attribution.result import Attribution
from attribution_core.figures.memorization import by_step, drop_off, gauge
from attribution_core.generation.generator import StepPreview
from attribution_core.reports.as_dict import verdict_dict
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, GENERATION, VIEWS
from ui.services.app import Query, Services
from ui.services.judged import Judged, of_query
from ui.services.memorization import MemorizationServices
from ui.session import Session, place
from ui.tabs import memorization_cases, memorization_game
from ui.widgets import memorization_html as words
from ui.widgets.joined import joined_boxes
from ui.widgets.picture_grid import picture_grid
from ui.widgets.set_links import alike_link
from ui.widgets.status import status_line

NEAREST = 8
# Whether the tab is in sight, so that an image that is attributed elsewhere costs nothing here.
_IN_SIGHT = """(seen, ...rest) =>
  [document.getElementById('memorization-words')?.offsetParent != null, ...rest]"""


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    own = MemorizationServices(services)
    session.verdict_boxes[1].render()
    memorization_game.build(session, own)
    memorization_cases.build(services, session, own)
    nothing = words.impossible(own.missing) if own.missing else words.NOTHING
    verdict_box = gr.HTML(nothing, elem_id="memorization-words")
    with gr.Column(visible=False, elem_id="copy-look") as whole:
        with gr.Row(elem_id="copy-row"):
            picture: dict[str, Any] = {
                "interactive": False,
                "format": "png",
                "buttons": ["fullscreen"],
                "height": 260,
                "min_width": 150,
            }
            query = gr.Image(label="This image", alt_text="this image", elem_id="copy-query", **picture)
            match = gr.Image(
                label="The training image", alt_text="the training image", elem_id="copy-match", **picture
            )
            slider = gr.ImageSlider(
                label="Laid over each other: drag the line",
                elem_id="copy-slider",
                format="png",
                interactive=False,
                buttons=[],
                height=260,
                min_width=150,
            )
            blink = gr.HTML(elem_id="copy-blink", min_width=150)
        laid = gr.HTML(elem_id="copy-laid")
        with gr.Accordion(
            "Where both agree, the closest others, and the drop-off", open=False, elem_id="copy-fold"
        ):
            with gr.Row(elem_id="copy-maps"):
                apart = gr.Image(
                    label="Where they differ: dark",
                    alt_text="where both differ",
                    elem_id="copy-difference",
                    **picture,
                )
                heat_query = gr.Image(
                    label="Where this image is like it: red",
                    alt_text="where this image is like it",
                    elem_id="copy-heat-query",
                    **picture,
                )
                heat_match = gr.Image(
                    label="Where the training image is like it: red",
                    alt_text="where the training image is like it",
                    elem_id="copy-heat-match",
                    **picture,
                )
            gr.HTML(f"<p class='status'>{words.HOW_MAPS}</p>")
            gr.HTML(
                "<h3>The closest training images; choose one to compare with it instead</h3>",
                elem_classes="caption",
            )
            nearest = picture_grid(
                columns=NEAREST,
                elem_id="copy-nearest",
                elem_classes="known",
            )
            drop = gr.Plot(
                label="Does one training image stand apart from the others? The drop-off", elem_id="drop-off"
            )
            drop_words = gr.HTML(elem_id="drop-words")
    with gr.Column(visible=False, elem_id="signal-box") as signal_box:
        signal_words = gr.HTML(elem_id="signal-words")
        record = gr.Button("Make it again and record its signal", elem_id="record-signal", visible=False)
        with gr.Row():
            level = gr.Plot(
                label="Noise signal: this image among images of measured prompts", elem_id="signal-gauge"
            )
            steps = gr.Plot(label="Noise signal, step by step", elem_id="signal-steps")
    close_up = [query, match, slider, blink, laid, apart, heat_query, heat_match]
    drawn = [
        verdict_box,
        whole,
        *close_up,
        nearest,
        drop,
        drop_words,
        signal_box,
        signal_words,
        record,
        level,
        steps,
    ]
    seen = gr.Checkbox(True, visible=False)
    number = gr.Number(
        1, precision=0, visible=False
    )  # which training image; in the browser the click says it

    @handler
    def look(
        seen: bool,
        asked: Query | None,
        result: Attribution | None,
        judged: list[Judged] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        kept = [gr.skip()] * (1 + len(session.verdict_boxes))
        if not seen:
            return [*kept, *[gr.skip()] * len(drawn)]
        told = _signal(own, asked)
        if own.missing or asked is None:
            return [*kept, nothing, gr.update(visible=False), *[None] * (len(close_up) + 3), *told]
        known = own.judge(
            asked,
            judged,
            lambda step: progress((step.done, step.total), desc="Encoding the training images once"),
        )
        verdict = of_query(known, asked).copy
        assert verdict is not None  # `own.judge` saw to it
        captions = [services.collection.corpus.credit(int(i)).short_caption or "" for i in verdict.ids]
        pictures = [
            (str(services.training_image(int(i))), f"{s:.3f}")
            for i, s in zip(verdict.ids[:NEAREST], verdict.similarity, strict=False)
        ]
        return [
            known,
            *joined_boxes(asked, result, known),
            words.headline(asked, verdict, services.memorization_evidence),
            gr.update(visible=True),
            *_close_up(own, asked, int(verdict.ids[0])),
            gr.update(value=pictures, selected_index=None),
            drop_off(verdict, captions),
            words.drop_words(verdict, own.measured(asked)),
            *told,
        ]

    @handler
    def compare_with(
        asked: Query | None, judged: list[Judged] | None, number: float, event: gr.EventData
    ) -> list[Any]:
        verdict = None if asked is None else of_query(judged, asked).copy
        chosen = place(number, event, 0 if verdict is None else min(NEAREST, len(verdict.ids)))
        if asked is None or verdict is None:
            return [gr.skip()] * len(close_up)
        return _close_up(own, asked, int(verdict.ids[chosen - 1]))

    @handler
    def record_signal(asked: Query | None) -> Iterator[list[Any]]:
        for event in own.again(asked):
            if isinstance(event, StepPreview):
                yield [status_line(f"Step {event.step} of {event.total}"), None]
            else:
                yield [status_line("Attributing ..."), event]

    quiet: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}
    shown_now = [session.judged, *session.verdict_boxes, *drawn]
    looked_at = [seen, session.query, session.result, session.judged]
    session.tabs[0].select(
        look,
        looked_at,
        shown_now,
        api_name="look",
        api_visibility="undocumented",
        show_progress="minimal",
        show_progress_on=[verdict_box],
        **ATTRIBUTION,
    )
    session.follow_verdict(look, looked_at, shown_now, js=_IN_SIGHT, api_name="look_again", **quiet, **VIEWS)
    nearest.select(
        compare_with,
        [session.query, session.judged, number],
        close_up,
        api_name="compare_with",
        **quiet,
        **ATTRIBUTION,
    )
    session.attribute_after(
        record.click(
            record_signal,
            session.query,
            [signal_words, session.made],
            api_name="record_signal",
            **quiet,
            **GENERATION,
        )
    )
    if services.generator is not None and not own.missing:
        memorization_cases.build_seeds(session, own)
    session.add_report_section(own.section)

    @handler
    def check_copy(image: gr.FileData) -> dict[str, Any]:
        """Tell whether an image is a copy of a training image: similarity, threshold and its measured precision."""
        return verdict_dict(own.check(services.read_upload(image["path"])))

    gr.api(check_copy, api_name="check_copy", **ATTRIBUTION)


def _close_up(own: MemorizationServices, query: Query, position: int) -> list[Any]:
    """Values of the components that show a query and a training image in detail."""
    look = own.look(query, position)
    first, aligned = shown(query.image), shown(look.alignment.aligned)
    most = max(float(look.occlusion.query.max()), float(look.occlusion.match.max()))
    credit = own.services.collection.corpus.credit(position)
    name = credit.short_caption or "the training image"
    return [
        first,
        shown(look.match),
        (first, aligned),
        words.blink(first, aligned, name),
        f'{words.alignment_line(look.alignment)}<p class="status">{alike_link(credit)}</p>',
        difference(look.alignment.difference),
        heat(query.image, look.occlusion.query, most),
        heat(look.match, look.occlusion.match, most),
    ]


def _signal(own: MemorizationServices, query: Query | None) -> list[Any]:
    """Updates of the box, words, button, gauge and steps."""
    if own.services.generator is None:
        return [gr.update(visible=False), "", gr.update(visible=False), None, None]
    evidence, signal = own.measured(query), None if query is None else query.noise_signal
    return [
        gr.update(visible=True),
        words.signal_words(query, evidence),
        gr.update(visible=own.can_repeat(query)),
        gauge(evidence.signals, signal) if evidence else None,
        by_step(evidence.signals if evidence else None, signal) if signal or evidence else None,
    ]
