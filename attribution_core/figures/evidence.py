"""Plotly figures of a collection's evidence: metrics, reliability, numbers of candidates, and copy detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution_core.add_one_in.evaluation import RECALL_AT, Score
from attribution_core.evidence.benchmark import Calibrated
from attribution_core.evidence.counterfactual import Asked
from attribution_core.figures.style import (
    CALIBRATED,
    INK,
    UNCALIBRATED,
    error_bars,
    finish,
    plain,
    plotly,
    share_axis,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = ("#2f7fe0", "#d0483e", "#2f9e6e", "#c9852b", "#8a5cc7", "#7a8599")
ROW = 24  # px per method in the figure of metrics
PRETRAINED = "pretrained"


def metrics(scores: Sequence[Score]) -> Figure:
    """Plot all metrics with 95 % intervals, one row per method (the supplement's Figure 6).

    scores: of one test case and kind of prompt. Hollow markers are pretrained features, filled ones mapped features.
    """
    names = ["mAP", *(f"recall@{k}" for k in RECALL_AT)]
    figure = plotly("subplots").make_subplots(
        rows=1, cols=len(names), shared_yaxes=True, horizontal_spacing=0.02, subplot_titles=names
    )
    encoders = list(dict.fromkeys(s.encoder for s in scores))
    labels = [f"{s.encoder}, {s.mapper}" for s in scores]
    for column, name in enumerate(names, 1):
        values = [s.mean_ap if column == 1 else s.recall[column - 2] for s in scores]
        for encoder, colour in zip(encoders, _colours(len(encoders)), strict=True):
            mine = [k for k, s in enumerate(scores) if s.encoder == encoder]
            figure.add_scatter(
                row=1,
                col=column,
                x=[values[k].value for k in mine],
                y=[labels[k] for k in mine],
                mode="markers",
                error_x=error_bars(
                    [values[k].value for k in mine],
                    [values[k].low for k in mine],
                    [values[k].high for k in mine],
                    colour,
                ),
                name=encoder,
                showlegend=False,
                marker={
                    "color": colour,
                    "size": 9,
                    "line": {"width": 2, "color": colour},
                    "symbol": ["circle-open" if scores[k].mapper == PRETRAINED else "circle" for k in mine],
                },
                customdata=[[values[k].low, values[k].high] for k in mine],
                hovertemplate="%{y}<br>" + name + " %{x:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})"
                "<extra></extra>",
            )
    finish(figure, "", "")
    figure.update_layout(height=90 + ROW * len(labels), margin={"t": 40})
    figure.update_xaxes(rangemode="tozero", nticks=4)
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1], showgrid=True)
    figure.update_annotations(font={"size": 12, "color": INK})
    return figure


def left_out(asked: Asked) -> Figure:
    """Plot how well each method predicts what leaving training images out does, with 95 % intervals."""
    rows = asked.ranked
    scores = [row.lds for row in rows]
    names = [plain(row.name).replace(": ", ":<br>") for row in rows]  # so that they fit on a phone
    figure = plotly("graph_objects").Figure()
    figure.add_scatter(
        x=[score.value for score in scores],
        y=names,
        mode="markers",
        error_x=error_bars(
            [score.value for score in scores],
            [score.low for score in scores],
            [score.high for score in scores],
            CALIBRATED,
        ),
        marker={"color": CALIBRATED, "size": 9},
        customdata=[[score.low, score.high] for score in scores],
        hovertemplate="%{y}<br>%{x:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": INK, "dash": "dot"})
    finish(figure, "score", "")  # more would be cut off on a phone
    figure.update_layout(height=90 + 1.4 * ROW * len(rows), margin={"t": 40})  # below the label of the plot
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    return figure


def reliability(calibrated: Calibrated) -> Figure:
    """Plot the fraction of exemplars among images with an influence near p, before and after calibration.

    Bins without an exemplar are triangles at the upper end of their 95 % interval.
    """
    go = plotly("graph_objects")

    figure, least, rarest = go.Figure(), 1.0, 1.0
    for name, colour, curve in (
        ("calibrated", CALIBRATED, calibrated.after),
        ("uncalibrated", UNCALIBRATED, calibrated.before),
    ):
        low, high = curve.interval()
        nonzero = curve.observed > 0
        least, rarest = (
            min(least, float(curve.predicted.min())),
            min(rarest, float(low[nonzero].min(initial=1))),
        )
        figure.add_scatter(
            x=curve.predicted[nonzero],
            y=curve.observed[nonzero],
            mode="lines+markers",
            name=name,
            legendgroup=name,
            line={"color": colour, "width": 1.5},
            marker={"color": colour, "size": 8},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (high - curve.observed)[nonzero],
                "arrayminus": (curve.observed - low)[nonzero],
                "color": colour,
                "thickness": 1,
                "width": 3,
            },
            customdata=curve.count[nonzero],
            hovertemplate="influence %{x:.3%}, exemplars %{y:.3%}<br>%{customdata:,.0f} candidates, "
            + name
            + "<extra></extra>",
        )
        figure.add_scatter(
            x=curve.predicted[~nonzero],
            y=high[~nonzero],
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=False,
            marker={"color": colour, "size": 8, "symbol": "triangle-down-open"},
            customdata=curve.count[~nonzero],
            hovertemplate="influence %{x:.4%}, none of %{customdata:,.0f} are exemplars: below %{y:.4%}, "
            + name
            + "<extra></extra>",
        )
    figure.add_scatter(
        x=[least, 1],
        y=[least, 1],
        mode="lines",
        name="perfect calibration",
        hoverinfo="skip",
        line={"color": INK, "width": 1, "dash": "dash"},
    )
    finish(figure, "share given (influence)", "part that was right")
    figure.update_xaxes(**share_axis(least))
    figure.update_yaxes(**share_axis(max(rarest, least)))
    return figure


def candidates(numbers: Sequence[Mapping[str, float]]) -> Figure:
    """Plot -log share of the exemplars and the best temperature against the number of candidates.

    numbers: rows with candidates, temperature, nll_uniform, nll_fixed and nll_best, as written by
    `pocket.evidence.scaling`.
    """
    figure = plotly("subplots").make_subplots(
        rows=1,
        cols=2,
        horizontal_spacing=0.12,
        subplot_titles=["-log share of the true source (nats)", "best temperature"],
    )
    x = [row["candidates"] for row in numbers]
    for key, name, colour, dash, width in (
        ("nll_uniform", "even shares", INK, "dash", 1.5),
        ("nll_fixed", "fitted temperature", CALIBRATED, "solid", 5),
        ("nll_best", "refitted for each number", UNCALIBRATED, "solid", 2),
    ):
        figure.add_scatter(
            row=1,
            col=1,
            x=x,
            y=[row[key] for row in numbers],
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": dash, "width": width},
            marker={"size": width + 3},
            hovertemplate="%{x:,} candidates: %{y:.3f}<extra>" + name + "</extra>",
        )
    figure.add_scatter(
        row=1,
        col=2,
        x=x,
        y=[row["temperature"] for row in numbers],
        mode="lines+markers",
        line={"color": UNCALIBRATED, "width": 2},
        name="best temperature",
        showlegend=False,
        hovertemplate="%{x:,} candidates: %{y:.4f}<extra></extra>",
    )
    finish(figure, "candidates", "")
    figure.update_xaxes(type="log", dtick=1, tickformat="~s")
    figure.update_yaxes(rangemode="tozero")
    figure.update_annotations(font={"size": 12, "color": INK}, yshift=-4)
    figure.update_layout(legend={"y": 1.12})
    return figure


def copies(encoders: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Plot precision against recall of copy detection, one curve per encoder.

    encoders: {name: {"copies": {"curve", "average_precision"}}}.
    """
    go = plotly("graph_objects")

    figure = go.Figure()
    for (name, entry), colour in zip(encoders.items(), _colours(len(encoders)), strict=True):
        curve = np.asarray(entry["copies"]["curve"])
        figure.add_scatter(
            x=curve[:, 0],
            y=curve[:, 1],
            mode="lines",
            line={"color": colour, "width": 2},
            name=f"{name} ({entry['copies']['average_precision']:.2f})",
            hovertemplate="%{x:.0%} of the copies at precision %{y:.0%}<extra>" + name + "</extra>",
        )
    finish(figure, "recall", "precision")
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def _colours(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
