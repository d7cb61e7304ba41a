"""Part of the tab Memorization: check the open model with many prompts. Which training images does it bring back?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from attribution_core.analyses.memorization.model_check import CheckedImage
from attribution_core.errors import AttributionError
from ui.handler import handler
from ui.server.lanes import generation
from ui.services.memorization import MemorizationServices
from ui.services.model_check import CAPTIONS, MOST_PROMPTS, MOST_SEEDS, OWN, ModelCheckServices
from ui.session import KEEP_S, as_file
from ui.widgets import memorization_texts as texts
from ui.widgets import model_check_html as words
from ui.widgets.in_line import line
from ui.widgets.lazy_download import made_on_click
from ui.widgets.status import progress_bar, status_line


def build(own: MemorizationServices) -> None:
    """Draw the fold and wire it; only for a collection with a generator and a copy encoder."""
    services = ModelCheckServices(own)
    with gr.Accordion(texts.CHECK, open=False, elem_id="check-fold"):
        gr.HTML(f"<p class='status'>{texts.CHECK_WHAT}</p>")
        with gr.Row(elem_id="check-row"):
            source = gr.Radio(
                [(texts.CHECK_CAPTIONS, CAPTIONS), (texts.CHECK_OWN, OWN)],
                value=CAPTIONS,
                label="Prompts",
                elem_id="check-source",
                scale=2,
                min_width=240,
            )
            captions = gr.Slider(
                1, MOST_PROMPTS, 8, step=1, label="Captions", elem_id="check-captions", min_width=160
            )
            seeds = gr.Slider(
                1, MOST_SEEDS, 2, step=1, label="Seeds of each", elem_id="check-seeds", min_width=160
            )
        prompts = gr.Textbox(
            label=texts.CHECK_PROMPTS, lines=4, max_lines=8, visible=False, elem_id="check-prompts"
        )
        estimate = gr.HTML(_estimate(services, CAPTIONS, 8, "", 2), elem_id="check-estimate")
        with gr.Row(elem_id="check-buttons"):
            start = gr.Button(
                texts.CHECK_START, variant="primary", elem_id="check-start", scale=0, min_width=190
            )
            stop = gr.Button(texts.STOP, elem_id="check-stop", scale=0, min_width=80)
        status = line("check-status")
        result = gr.HTML(elem_id="check-result")
        checked = gr.State([], time_to_live=KEEP_S)
        with gr.Row(visible=False, elem_id="check-downloads") as downloads:
            for label, make in (("HTML", _as_html(services)), ("JSON", _as_json(services))):
                made_on_click(
                    f"Result ({label})",
                    make,
                    [checked],
                    elem_id=f"check-{label.lower()}",
                    api_name=f"model_check_{label.lower()}",
                    scale=0,
                    min_width=150,
                    size="md",
                )
    asked = [source, captions, prompts, seeds]

    @handler
    def estimate_check(source: str, captions: float, prompts: str, seeds: float) -> str:
        return _estimate(services, source, captions, prompts, seeds)

    @handler
    def check_model(source: str, captions: float, prompts: str, seeds: float) -> Iterator[list[Any]]:
        for step in services.check(source, captions, prompts, seeds):
            shown = words.result(services.report(step.images)) if step.images else ""
            bar = "" if step.progress.fraction == 1 else progress_bar(step.progress)
            yield [bar, shown, list(step.images), gr.update(visible=bool(step.images))]

    @handler
    def stopped(images: list[CheckedImage] | None) -> str:
        return status_line(words.stopped(images or ()))

    quiet: dict[str, Any] = {
        "api_visibility": "undocumented",
        "queue": False,
        "show_progress": "hidden",
    }
    source.input(
        None,
        source,
        [captions, prompts],
        js=f"(source) => ['{CAPTIONS}', '{OWN}'].map(name => ({{__type__: 'update', visible: source === name}}))",
    )
    gr.on(
        [source.input, captions.release, captions.input, seeds.release, seeds.input, prompts.blur],
        estimate_check,
        asked,
        estimate,
        api_name="estimate_check",
        trigger_mode="always_last",
        **quiet,
    )
    running = start.click(
        check_model,
        asked,
        [status, result, checked, downloads],
        api_name="ask_model_check",
        api_visibility="undocumented",
        trigger_mode="multiple",
        **generation(status),
    )
    running.failure(stopped, checked, status, api_name="model_check_failed", **quiet)
    stop.click(None, cancels=[running], queue=False).then(
        stopped, checked, status, api_name="stop_model_check", **quiet
    )


def _estimate(services: ModelCheckServices, source: str, captions: float, prompts: str, seeds: float) -> str:
    try:
        return status_line(words.estimate(*services.estimate(source, captions, prompts, seeds)))
    except AttributionError as error:
        return status_line(str(error)[:1].upper() + str(error)[1:])


def _as_html(services: ModelCheckServices) -> Any:
    @handler
    def model_check_html(images: list[CheckedImage] | None) -> str:
        return as_file(services.report(images, shares=True).to_html().encode(), "model-check.html")

    return model_check_html


def _as_json(services: ModelCheckServices) -> Any:
    @handler
    def model_check_json(images: list[CheckedImage] | None) -> str:
        return as_file(services.report(images, shares=True).to_json().encode(), "model-check.json")

    return model_check_json
