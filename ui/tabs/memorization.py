"""The tab Memorization: is the image a copy of a training image, where do both agree, did the words pull hard?"""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import count
from typing import Any

import gradio as gr

from attribution_core.analyses.memorization.overlays import SIDE, difference, heat, shown
from attribution_core.analyses.memorization.verdict import Look, Verdict
from attribution_core.common.images import data_uri
from attribution_core.figures.memorization import by_step, drop_off, gauge
from attribution_core.generation.generator import StepPreview
from attribution_core.reports.as_dict import verdict_dict
from attribution_core.reports.wording.noise_signal import signal_how, signal_sentence
from attribution_core.reports.wording.verdict import (
    alignment_words,
    detection_how,
    verdict_how,
    verdict_sentence,
    verdict_title,
)
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, GENERATION, VIEWS
from ui.services.app import Query, Services
from ui.services.memorization import MemorizationServices
from ui.session import KEEP_S, Session, place
from ui.tabs import memorization_cases
from ui.widgets.status import status_line

NEAREST = 8
_NOTHING = (
    '<div class="headline spread"><h2>Nothing to look at yet</h2><p>Generate an image, or bring one, on the '
    "first tab, or choose a case below.</p></div>"
)
# Whether the tab is in sight, so that an image that is attributed elsewhere costs nothing here.
_IN_SIGHT = """(seen, ...rest) =>
  [document.getElementById('memorization-words')?.offsetParent != null, ...rest]"""


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    own = MemorizationServices(services)
    words = gr.HTML(_NOTHING if not own.missing else _impossible(own.missing), elem_id="memorization-words")
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
        gr.HTML(f"<p class='status'>{_HOW_MAPS}</p>")
        gr.HTML(
            "<h3>The closest training images; choose one to compare with it instead</h3>",
            elem_classes="caption",
        )
        nearest = gr.Gallery(
            show_label=False,
            columns=NEAREST,
            allow_preview=False,
            height="auto",
            buttons=[],
            object_fit="contain",
            interactive=False,
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
        words,
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
    verdict_of = gr.State(None, time_to_live=KEEP_S)
    another, counted = (
        gr.State(0),
        count(1),
    )  # another number with every image, and images cannot be told apart fast
    seen = gr.Checkbox(True, visible=False)
    number = gr.Number(
        1, precision=0, visible=False
    )  # which training image; in the browser the click says it

    @handler
    def look(seen: bool, asked: Query | None, progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008
        if not seen:
            return [gr.skip()] * (len(drawn) + 1)
        told = _signal(own, asked)
        if own.missing or asked is None:
            first = _impossible(own.missing) if own.missing else _NOTHING
            return [None, first, gr.update(visible=False), *[None] * (len(close_up) + 3), *told]
        verdict = own.check(
            asked,
            lambda step: progress((step.done, step.total), desc="Encoding the training images once"),
        )
        captions = [services.collection.corpus.credit(int(i)).short_caption or "" for i in verdict.ids]
        pictures = [
            (str(services.training_image(int(i))), f"{s:.3f}")
            for i, s in zip(verdict.ids[:NEAREST], verdict.similarity, strict=False)
        ]
        return [
            verdict,
            _headline(own, asked, verdict),
            gr.update(visible=True),
            *_close_up(own, asked, int(verdict.ids[0])),
            gr.update(value=pictures, selected_index=None),
            drop_off(verdict, captions),
            _drop_words(own, asked, verdict),
            *told,
        ]

    @handler
    def compare_with(
        asked: Query | None, verdict: Verdict | None, number: float, event: gr.EventData
    ) -> list[Any]:
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
    shown_now = [verdict_of, *drawn]
    session.tab.select(
        look,
        [seen, session.query],
        shown_now,
        api_name="look",
        api_visibility="undocumented",
        show_progress="minimal",
        show_progress_on=[words],
        **ATTRIBUTION,
    )
    session.add_view([another], lambda query, result: [next(counted)])
    another.change(
        look, [seen, session.query], shown_now, js=_IN_SIGHT, api_name="look_again", **quiet, **VIEWS
    )
    nearest.select(
        compare_with,
        [session.query, verdict_of, number],
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
    memorization_cases.build(services, session, own)
    session.add_report_section(own.section)

    @handler
    def check_copy(image: gr.FileData) -> dict[str, Any]:
        """Tell whether an image is a copy of a training image: similarity, threshold and its measured precision."""
        return verdict_dict(own.check(services.read_upload(image["path"])))

    gr.api(check_copy, api_name="check_copy", **ATTRIBUTION)


_HOW_MAPS = (
    "<b>How do we know?</b> The training image is shifted, scaled and mirrored until the pixels agree best. "
    "The red maps cover one spot after another and ask the copy encoder again: where the similarity falls "
    "most, the likeness lies."
)


def _how(words: str) -> str:
    return f"<p class='status'><b>How do we know?</b> {html.escape(words)}</p>" if words else ""


def _impossible(why: str) -> str:
    words = html.escape(why[:1].upper() + why[1:])
    return f'<div class="headline spread"><h2>Copies cannot be told here</h2><p>{words}</p></div>'


def _headline(own: MemorizationServices, query: Query, verdict: Verdict) -> str:
    found = own.services.memorization_evidence
    kind = {True: "copy", False: "found", None: "spread"}[verdict.is_copy]
    apart = (
        found is not None
        and verdict.is_copy is False
        and found.stands_apart(verdict.drop.after, verdict.drop.size)
    )
    but = " But it stands apart from all others as copies do: look at both below." if apart else ""
    return (
        f'<div class="headline {kind}" aria-live="polite"><h2>{html.escape(verdict_title(verdict))}</h2>'
        f"<p>Query: “{html.escape(query.title)}”. {html.escape(verdict_sentence(verdict) + but)}</p></div>"
        + _how(verdict_how(verdict))
        + (f"<p class='status'>{html.escape(detection_how(found))}</p>" if found else "")
    )


def _close_up(own: MemorizationServices, query: Query, position: int) -> list[Any]:
    look = own.look(query, position)
    first, aligned = shown(query.image), shown(look.alignment.aligned)
    most = max(float(look.occlusion.query.max()), float(look.occlusion.match.max()))
    name = own.services.collection.corpus.credit(position).short_caption or "the training image"
    return [
        first,
        shown(look.match),
        (first, aligned),
        _blink(first, aligned, name),
        _laid(look),
        difference(look.alignment.difference),
        heat(query.image, look.occlusion.query, most),
        heat(look.match, look.occlusion.match, most),
    ]


def _blink(first: Any, second: Any, name: str) -> str:
    """Two images by turns; still until asked, because what blinks by itself cannot be read beside."""
    return (
        '<div class="blink"><label><input type="checkbox"> Blink: both by turns</label>'
        f'<div class="stack"><img src="{data_uri(first, SIDE)}" alt="This image">'
        f'<img src="{data_uri(second, SIDE)}" alt="{html.escape(name)}, laid over it"></div></div>'
    )


def _laid(look: Look) -> str:
    laid = look.alignment
    before = f"; {laid.rms_before:.0f} as they were" if laid.moved else ""
    return status_line(
        f"The training image was {alignment_words(laid)}. Pixels then differ by {laid.rms:.0f} of 255 steps on average"
        f"{before}."
    )


def _drop_words(own: MemorizationServices, query: Query, verdict: Verdict) -> str:
    drop, found = verdict.drop, own.measured(query)
    text = (
        f"The largest drop-off is {drop.size:.3f}, after {drop.after} "
        f"{'image' if drop.after == 1 else 'images'}."
    )
    planted = found.copies.groups.get("planted") if found else None
    if found and planted:
        text += (
            f" Half of all images of planted prompts have one of {planted.drop:.3f} or more; of "
            f"images of other training prompts 95 % stay below {found.copies.groups['training'].drop_95:.3f}."
        )
    return f"<p class='status'>{html.escape(text)}</p>" + _how(
        "The training images stand in the order of their similarity. A copy stands apart from the rest; "
        "where an image is like many others, the curve falls smoothly."
    )


def _signal(own: MemorizationServices, query: Query | None) -> list[Any]:
    """Updates of the box, words, button, gauge and steps."""
    if own.services.generator is None:
        return [gr.update(visible=False), "", gr.update(visible=False), None, None]
    found, signal = own.measured(query), None if query is None else query.noise_signal
    button, text = gr.update(visible=own.can_repeat(query)), ""
    if signal is None:
        head = "No signal was recorded for this image"
        text = (
            "It is recorded while an image is made here with guidance above 1; this one was stored, was brought "
            "along, or was made without."
        )
    elif found is None:
        head = f"The words pulled with a signal of {signal.mean:.2f}"
        text = "Nobody measured yet how strong the signal of memorized prompts of this generator is: no verdict on it."
    else:
        head = f"The words pulled with a signal of {signal.mean:.2f}"
        text = signal_sentence(found.signals, signal)
        made = query.recipe if query else None
        if made is not None and (made.steps, made.guidance) != found.signals.at:
            text += f" This image has {made.steps} steps and guidance {made.guidance:g}, so that comparison is rough."
    words = f"<h3>While it was made: {html.escape(head)}</h3><p>{html.escape(text)}</p>" + _how(
        signal_how(found)
    )
    return [
        gr.update(visible=True),
        words,
        button,
        gauge(found.signals, signal) if found else None,
        by_step(found.signals if found else None, signal) if signal or found else None,
    ]
