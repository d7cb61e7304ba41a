"""The tab Scores: how calibration turned flat similarities into shares, and what another temperature would say."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from attribution_core.attribution.result import Attribution
from attribution_core.common.text import rounded_percent
from attribution_core.figures.attribution import cumulative_share, influence_by_rank, similarity_histogram
from ui.handler import handler
from ui.services.app import Query, Services
from ui.session import Session
from ui.widgets import scores_texts as texts
from ui.widgets.status import no_shares, status_line
from ui.widgets.tiles import tiles

SHARPER, FLATTER = -2.0, 6.0  # doublings of the fitted temperature


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    sentence = gr.HTML(elem_id="sentence")
    with gr.Row(elem_id="temperature-row"):
        doublings = gr.Slider(
            SHARPER,
            FLATTER,
            0.0,
            step=0.1,
            elem_id="temperature",
            scale=4,
            min_width=240,
            label=texts.SLIDER,
            info=texts.SLIDER_INFO,
        )
        reset = gr.Button(texts.RESET, elem_id="reset", scale=1, min_width=160)
    gr.HTML(status_line(texts.COLOURS), elem_id="scores-colours")
    ranks = gr.Plot(label=texts.RANKS, elem_id="ranks")
    with gr.Row():
        with gr.Column(min_width=300):
            cumulative = gr.Plot(label=texts.CUMULATIVE, elem_id="cumulative")
        with gr.Column(min_width=300):
            histogram = gr.Plot(label=texts.HISTOGRAM, elem_id="histogram")
    with gr.Accordion(texts.NUMBERS, open=False, elem_id="scores-numbers"):
        numbers = gr.HTML(elem_id="tiles")
    scored = [sentence, numbers, ranks, cumulative]

    def draw_scores(query: Query | None, result: Attribution | None) -> list[Any]:
        if query is None or result is None or not result.has_shares:
            return [no_shares(result), "", None, None]
        return [_sentence(query, result), _tiles(result), influence_by_rank(result), cumulative_share(result)]

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        picture = similarity_histogram(result) if result is not None and result.has_shares else None
        return [*draw_scores(query, result), picture, gr.update(value=0.0)]

    @handler
    def set_temperature(query: Query | None, result: Attribution | None, doublings: float) -> list[Any]:
        if result is not None:
            power = min(max(float(doublings), SHARPER), FLATTER)
            result = result.at_temperature(result.fitted_temperature * 2.0**power)
        return draw_scores(query, result)

    @handler
    def reset_temperature(query: Query | None, result: Attribution | None) -> list[Any]:
        return [*draw_scores(query, result), 0.0]

    session.add_view([*scored, histogram, doublings], draw)
    doublings.input(
        set_temperature,
        [session.query, session.result, doublings],
        scored,
        api_name="set_temperature",
        show_progress="hidden",
        trigger_mode="always_last",
    )
    reset.click(
        reset_temperature,
        [session.query, session.result],
        [*scored, doublings],
        api_name="reset_temperature",
        show_progress="hidden",
    )


def _uncalibrated_number(result: Attribution) -> float:
    return result.at_temperature(1.0).effective_number


def _is_fitted(result: Attribution) -> bool:
    return abs(result.temperature / result.fitted_temperature - 1) < 1e-9


def _sentence(query: Query, result: Attribution) -> str:
    words = texts.SHARED.format(
        title=query.title,
        shared=result.effective_number,
        count=result.n_training,
        strongest=rounded_percent(result.influence[0]),
        listed=len(result),
        held=rounded_percent(1 - result.rest),
    )
    below = texts.FITTED.format(flat=_uncalibrated_number(result)) if _is_fitted(result) else texts.MOVED
    return f'<p class="sentence" aria-live="polite">{html.escape(words)}</p>{status_line(below)}'


def _tiles(result: Attribution) -> str:
    fitted = texts.FITTED_VALUE if _is_fitted(result) else texts.FITTED_TO.format(result.fitted_temperature)
    plain = texts.UNCALIBRATED.format
    return tiles(
        [
            (texts.TEMPERATURE, f"{result.temperature:.4f}", fitted),
            (
                texts.EFFECTIVE,
                f"{result.effective_number:,.1f}",
                plain(f"{_uncalibrated_number(result):,.0f}"),
            ),
            (texts.STRONGEST, f"{result.influence[0]:.2%}", plain(f"{result.uncalibrated[0]:.3%}")),
            (
                texts.OTHERS.format(len(result)),
                f"{result.rest:.1%}",
                plain(f"{result.rest_uncalibrated:.1%}"),
            ),
        ]
    )
