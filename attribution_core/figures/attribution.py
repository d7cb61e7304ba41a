"""Plotly figures of one attribution.

Backgrounds are transparent and text is mid-grey, so that a figure is legible on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution_core.attribution.result import Attribution
from attribution_core.common.arrays import FloatArray
from attribution_core.figures.style import CALIBRATED, INK, MARKED, UNCALIBRATED, draw, plain, share_axis

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_HISTOGRAM_BARS = 80
_LEAST = 0.01  # lower end of the influence axis, as a fraction of an even share


def influence_by_rank(result: Attribution) -> Figure:
    """Plot the influence of all training images by rank, calibrated and uncalibrated, on log axes.

    Listed images are dots with captions; the others are a curve from the bins of the rest.
    """
    ranks, captions = np.arange(1, len(result) + 1), [caption(result, k) for k in range(len(result))]
    traces: list[dict[str, Any]] = []
    for name, colour, listed, others in _both(result):
        traces.append(
            {
                **_line(
                    name, colour, np.concatenate([ranks, others[0]]), np.concatenate([listed, others[1]])
                ),
                "legendgroup": name,
                "hoverinfo": "skip",
            }
        )
        traces.append(
            {
                "type": "scatter",
                "x": ranks,
                "y": listed,
                "mode": "markers",
                "marker": {"color": colour, "size": 6},
                "name": name,
                "legendgroup": name,
                "showlegend": False,
                "customdata": captions,
                "hovertemplate": "%{customdata}<br>rank %{x}, " + name + " %{y:.3%}<extra></extra>",
            }
        )
    return draw(
        traces,
        "rank among all training images",
        "influence",
        xaxis={"type": "log", "dtick": 1},
        yaxis=share_axis(_LEAST / result.n_training),
    )


def cumulative_share(result: Attribution) -> Figure:
    """Plot the cumulative share of the highest-ranked training images, calibrated and uncalibrated."""
    traces: list[dict[str, Any]] = []
    for name, colour, listed, others in _both(result):
        rank = np.concatenate([np.arange(1, len(result) + 1), others[0]])
        mass = np.concatenate([listed, others[1] * np.diff(others[0], prepend=len(result))])
        traces.append(
            {
                **_line(name, colour, rank, np.minimum(mass.cumsum(), 1.0)),
                "hovertemplate": "the first %{x:,.0f} images hold %{y:.1%} (" + name + ")<extra></extra>",
            }
        )
    return draw(
        traces,
        "number of training images",
        "share of influence",
        xaxis={"type": "log", "dtick": 1},
        yaxis={"tickformat": ".0%", "range": [0, 1.03]},
    )


def similarity_histogram(result: Attribution) -> Figure:
    """Plot a histogram of all training images' similarities, with the listed ones highlighted; log counts."""
    others = result.rest_bins.points
    used = others.weight[0] > 0
    means, counts = others.value[0][used], others.weight[0][used]
    everything = np.concatenate([means, result.similarity])
    edges = np.linspace(everything.min(), everything.max() + 1e-6, _HISTOGRAM_BARS + 1)
    centres, width = (edges[:-1] + edges[1:]) / 2, float(edges[1] - edges[0])
    traces: list[dict[str, Any]] = []
    for name, colour, values, weights in (
        ("not listed", INK, means, counts),
        (
            f"the {len(result)} listed" if len(result) > 1 else "the listed one",
            MARKED,
            result.similarity,
            None,
        ),
    ):
        height = np.histogram(values, edges, weights=weights)[0]
        traces.append(
            {
                "type": "bar",
                "x": centres,
                "y": np.where(height > 0, height, np.nan),
                "width": width,
                "name": name,
                "marker": {"color": colour, "line": {"width": 0}},
                "hovertemplate": "%{y:,.0f} images at similarity %{x:.3f}, " + name + "<extra></extra>",
            }
        )
    return draw(
        traces,
        "similarity to the query (cosine)",
        "training images",
        barmode="overlay",
        bargap=0,
        yaxis={"type": "log", "dtick": 1, "tickformat": ",~f"},
    )


def _both(result: Attribution) -> Iterator[tuple[str, str, FloatArray, tuple[FloatArray, FloatArray]]]:
    """Yield name, colour, shares of the listed images and curve of the others, calibrated first."""
    yield "calibrated", CALIBRATED, result.influence, _rest_curve(result, result.temperature, result.rest)
    yield (
        "uncalibrated",
        UNCALIBRATED,
        result.uncalibrated,
        _rest_curve(result, 1.0, result.rest_uncalibrated),
    )


def _line(name: str, colour: str, x: FloatArray, y: FloatArray) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "lines",
        "line": {"color": colour, "width": 2},
        "name": name,
    }


def _rest_curve(result: Attribution, temperature: float, share: float) -> tuple[FloatArray, FloatArray]:
    """Return, for each bin of the rest from most to least similar, its last rank and the influence per image.

    Two arrays (b,). The tail mass is split by the bins' mean similarities; a sample image counts as a bin.
    """
    others = result.rest_bins.points
    used = others.weight[0] > 0
    count, mean = others.weight[0][used], others.value[0][used]
    if not count.size:
        return np.empty(0), np.empty(0)
    order = np.argsort(-mean, kind="stable")
    count, mean = count[order], mean[order]
    weight = np.exp((mean - mean[0]) / temperature)
    return len(result) + count.cumsum(), share * weight / (weight @ count)


def caption(result: Attribution, place: int) -> str:
    """Return the name of the listed image at `place`, from 0, escaped for Plotly."""
    return plain(result.name_of(place))
