"""The tab Memorization: is the image a copy of a training image, where do both agree, did the words pull hard?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from PIL import Image

from attribution_core.analyses.memorization.overlays import difference, heat, shown
from attribution_core.attribution.result import Attribution
from attribution_core.figures.memorization import by_step, drop_off, gauge
from attribution_core.generation.generator import StepPreview
from attribution_core.reports.as_dict import verdict_dict
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, VIEWS, generation
from ui.services.app import Query, Services
from ui.services.judged import Judged, of_query
from ui.services.memorization import MemorizationServices
from ui.session import Session, place
from ui.tabs import memorization_cases, memorization_check, memorization_game
from ui.widgets import memorization_html as words
from ui.widgets import memorization_texts as texts
from ui.widgets.in_line import line
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
    memorization_game.build(session, own)
    session.verdict_boxes[1].render()
    memorization_cases.build(services, session, own)
    nothing = words.impossible(own.missing) if own.missing else texts.NOTHING
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
            query = gr.Image(label=texts.THIS_IMAGE, elem_id="copy-query", **picture)
            match = gr.Image(label=texts.THE_TRAINING_IMAGE, elem_id="copy-match", **picture)
            slider = gr.ImageSlider(
                label=texts.SLIDER,
                elem_id="copy-slider",
                format="png",
                interactive=False,
                buttons=[],
                height=260,
                min_width=150,
            )
            blink = gr.HTML(elem_id="copy-blink", min_width=150)
        laid = gr.HTML(elem_id="copy-laid")
        with gr.Accordion(texts.MORE, open=False, elem_id="copy-fold"):
            with gr.Row(elem_id="copy-maps"):
                apart = gr.Image(
                    label=texts.DIFFERENCE,
                    elem_id="copy-difference",
                    **picture,
                )
                heat_query = gr.Image(
                    label=texts.HEAT_QUERY,
                    elem_id="copy-heat-query",
                    **picture,
                )
                heat_match = gr.Image(
                    label=texts.HEAT_MATCH,
                    elem_id="copy-heat-match",
                    **picture,
                )
            gr.HTML(words.how(texts.HOW_MAPS))
            gr.HTML(
                f"<h3>{texts.NEAREST}</h3>",
                elem_classes="caption",
            )
            nearest = picture_grid(
                columns=NEAREST,
                elem_id="copy-nearest",
                elem_classes="known",
            )
            drop = gr.Plot(label=texts.DROP_OFF, elem_id="drop-off")
            drop_words = gr.HTML(elem_id="drop-words")
    with gr.Column(visible=False, elem_id="signal-box") as signal_box:
        signal_words = line("signal-words")
        record = gr.Button(texts.RECORD, elem_id="record-signal", visible=False)
        with gr.Row():
            level = gr.Plot(label=texts.SIGNAL_LEVEL, elem_id="signal-gauge")
            steps = gr.Plot(label=texts.SIGNAL_STEPS, elem_id="signal-steps")
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
            lambda step: progress((step.done, step.total), desc=texts.ENCODING),
        )
        verdict = of_query(known, asked).copy
        assert verdict is not None  # `own.judge` saw to it
        captions = [services.collection.corpus.credit(int(i)).short_caption or "" for i in verdict.ids]
        pictures = [
            (
                str(services.training_image(int(i))),
                f"{s:.3f} · {services.collection.corpus.credit(int(i)).description}",
            )
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
                yield [status_line(texts.ATTRIBUTING), event]

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
            api_visibility="undocumented",
            **generation(signal_words),
        )
    )
    if services.generator is not None and not own.missing:
        memorization_cases.build_seeds(session, own)
        memorization_check.build(own)
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
    this, training = texts.THIS_ALT.format(query.title), texts.TRAINING_ALT.format(credit.description)
    return [
        _picture(first, this),
        _picture(shown(look.match), training),
        (first, aligned),
        words.blink(first, aligned, this, training),
        f'{words.alignment_line(look.alignment)}<p class="status">{alike_link(credit)}</p>',
        _picture(difference(look.alignment.difference), texts.DIFFERENCE_ALT.format(this, training)),
        _picture(heat(query.image, look.occlusion.query, most), texts.HEAT_ALT.format(this)),
        _picture(heat(look.match, look.occlusion.match, most), texts.HEAT_ALT.format(training)),
    ]


def _picture(image: Image.Image, alt: str) -> Any:
    return gr.update(value=image, alt_text=alt)


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
