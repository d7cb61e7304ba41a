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
from ui.widgets.status import no_shares
from ui.widgets.tiles import tiles

SHARPER, FLATTER = -2.0, 6.0  # doublings of the fitted temperature


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    sentence, numbers = gr.HTML(elem_id="sentence"), gr.HTML(elem_id="tiles")
    with gr.Row(elem_id="temperature-row"):
        doublings = gr.Slider(
            SHARPER,
            FLATTER,
            0.0,
            step=0.1,
            elem_id="temperature",
            scale=4,
            min_width=240,
            label="Temperature (0 is the fitted one; each step of 1 doubles it)",
            info="Left: fewer images share the influence. Right: more do.",
        )
        reset = gr.Button("Back to the fitted value", elem_id="reset", scale=1, min_width=160)
    ranks = gr.Plot(label="Influence by rank", elem_id="ranks")
    with gr.Row():
        with gr.Column(min_width=300):
            cumulative = gr.Plot(label="Share that the strongest images hold together", elem_id="cumulative")
        with gr.Column(min_width=300):
            histogram = gr.Plot(label="Similarity of all training images", elem_id="histogram")
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


def _sentence(query: Query, result: Attribution) -> str:
    flat = _uncalibrated_number(result)
    words = (
        f"For “{query.title}”, plain similarities spread the influence over {flat:,.0f} of "
        f"{result.n_training:,} training images. At temperature {result.temperature:.4f}, about "
        f"{result.effective_number:,.0f} images share it. "
        f"The first {len(result)} hold {rounded_percent(1 - result.rest)}."
    )
    return f'<p class="sentence" aria-live="polite">{html.escape(words)}</p>'


def _tiles(result: Attribution) -> str:
    is_fitted = abs(result.temperature / result.fitted_temperature - 1) < 1e-9
    fitted = "fitted" if is_fitted else f"fitted: {result.fitted_temperature:.4f}"
    return tiles(
        [
            ("Temperature", f"{result.temperature:.4f}", fitted),
            (
                "Images that share the influence",
                f"{result.effective_number:,.1f}",
                f"uncalibrated: {_uncalibrated_number(result):,.0f}",
            ),
            ("Strongest image", f"{result.influence[0]:.2%}", f"uncalibrated: {result.uncalibrated[0]:.3%}"),
            (
                f"All images but the first {len(result)}",
                f"{result.rest:.1%}",
                f"uncalibrated: {result.rest_uncalibrated:.1%}",
            ),
        ]
    )
