"""Plotly figures of copy detection and the noise signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.evidence.memorization import Signals
from attribution_core.figures.style import CALIBRATED, GRID, INK, MARKED, UNCALIBRATED, finish, plain, plotly
from attribution_core.generation.noise_signal import NoiseSignal

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_COLOURS = {"planted": MARKED, "control": INK, "training": UNCALIBRATED, "fresh": CALIBRATED}
_NAMES = {
    "planted": "planted",
    "control": "matched, not planted",
    "training": "training prompts",
    "fresh": "never seen",
}
_THIS = "#8e44c9"
# On a phone there is no room for the legend next to the plot's label.
_LEGEND_BELOW = {
    "margin": {"t": 40, "b": 70},
    "legend": {"y": -0.2, "yanchor": "top", "x": 0, "xanchor": "left"},
}


def drop_off(verdict: Verdict, captions: Sequence[str] = ()) -> Figure:
    """Plot the nearest training images' similarities by rank, with threshold and largest drop (supplement, Fig. 2).

    captions: of the nearest images, for the hover text.
    """
    go = plotly("graph_objects")

    similarity, drop = verdict.similarity.astype(float), verdict.drop
    ranks = np.arange(1, len(similarity) + 1)
    copies = np.arange(len(ranks)) < verdict.copies
    words = [plain(c) for c in captions] + [""] * (len(ranks) - len(captions))
    figure = go.Figure()
    for chosen, colour, name in (
        (copies, MARKED, "close enough for a copy"),
        (~copies, CALIBRATED, "others"),
    ):
        if chosen.any():
            figure.add_scatter(
                x=ranks[chosen],
                y=similarity[chosen],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 8},
                customdata=[w for w, c in zip(words, chosen, strict=True) if c],
                hovertemplate="%{customdata}<br>number %{x}, similarity %{y:.3f}<extra></extra>",
            )
    finish(figure, "nearest training images, in order", "similarity to this image")
    figure.update_layout(**_LEGEND_BELOW)
    least = float(similarity.min())
    if verdict.threshold is not None:
        least = min(least, verdict.threshold.value)
        figure.add_hline(
            y=verdict.threshold.value,
            line={"color": INK, "dash": "dash", "width": 1.5},
            annotation={"text": f"a copy from {verdict.threshold.value:.3f} on", "font": {"color": INK}},
            annotation_position="top right",
        )
    if drop.size > 0 and drop.after < len(ranks):
        high, low = similarity[drop.after - 1], similarity[drop.after]
        figure.add_scatter(
            x=[drop.after + 0.5] * 2,
            y=[high, low],
            mode="lines",
            name="drop-off",
            line={"color": _THIS, "width": 3},
            hoverinfo="skip",
        )
        figure.add_annotation(
            x=drop.after + 0.5,
            y=(high + low) / 2,
            text=f"drop-off {drop.size:.3f}",
            ax=60,
            ay=-50,
            xanchor="left",
            arrowcolor=_THIS,
            font={"color": _THIS, "size": 13},
        )
    figure.update_yaxes(range=[least - 0.05, 1.03])
    figure.update_xaxes(range=[0, len(ranks) + 1])
    return figure


def gauge(signals: Signals, signal: NoiseSignal | None) -> Figure:
    """Plot the signals of all measured images, one row per kind of prompt, with a line for this image's."""
    go = plotly("graph_objects")

    figure, rng = go.Figure(), np.random.default_rng(0)
    names = [name for name in reversed(_NAMES) if name in signals.means]
    for row, name in enumerate(names):
        means = signals.means[name]
        figure.add_scatter(
            x=means,
            y=row + rng.uniform(-0.28, 0.28, len(means)),
            mode="markers",
            name=_NAMES[name],
            showlegend=False,
            marker={"color": _COLOURS[name], "size": 5, "opacity": 0.55},
            hovertemplate="signal %{x:.2f}, " + _NAMES[name] + "<extra></extra>",
        )
        median = float(np.median(means))
        figure.add_scatter(
            x=[median] * 2,
            y=[row - 0.38, row + 0.38],
            mode="lines",
            showlegend=False,
            line={"color": _COLOURS[name], "width": 3},
            hovertemplate="median %{x:.2f}, " + _NAMES[name] + "<extra></extra>",
        )
    if signal is not None:
        figure.add_vline(
            x=signal.mean,
            line={"color": _THIS, "width": 3},
            annotation={"text": f"this image: {signal.mean:.2f}", "font": {"color": _THIS, "size": 13}},
            annotation_position="top",
        )
    finish(figure, "noise signal, mean over steps", "")
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[_NAMES[name] for name in names],
        gridcolor=GRID,
        range=[-0.6, len(names) - 0.4],
    )
    return figure


def by_step(signals: Signals | None, signal: NoiseSignal | None) -> Figure:
    """Plot the signal of each step for this image, and the medians of the measured prompts."""
    go = plotly("graph_objects")

    figure = go.Figure()
    for name, median in (signals.steps if signals else {}).items():
        figure.add_scatter(
            x=np.arange(1, len(median) + 1),
            y=median,
            mode="lines",
            name=_NAMES.get(name, plain(name)),
            line={"color": _COLOURS.get(name, INK), "width": 2, "dash": "dot"},
            hovertemplate="step %{x}, median %{y:.2f}<extra></extra>",
        )
    if signal is not None:
        figure.add_scatter(
            x=np.arange(1, len(signal.steps) + 1),
            y=signal.steps,
            mode="lines+markers",
            name="this image",
            line={"color": _THIS, "width": 3},
            marker={"size": 6},
            hovertemplate="step %{x}, signal %{y:.2f}<extra></extra>",
        )
    finish(figure, "step", "noise signal")
    figure.update_layout(**_LEGEND_BELOW)
    return figure
