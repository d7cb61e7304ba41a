"""The looks that all figures share: colours, axes, ground."""

from __future__ import annotations

from typing import Any

import numpy as np

CALIBRATED, UNCALIBRATED, MARKED = "#2f7fe0", "#c9852b", "#d0483e"
INK, GRID = "#7a8599", "rgba(128, 138, 158, 0.25)"
HEIGHT = 380


def plain(words: str) -> str:
    """Plotly reads a subset of HTML in its texts, and captions and names are anybody's words."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def share_axis(least: float) -> dict[str, Any]:
    """A logarithmic axis of shares in per cent, from `least` or the decade below it to 100 %."""
    decades = range(0, -1 - int(np.ceil(-np.log10(least))), -1)
    return {
        "type": "log",
        "range": [decades[-1], 0.15],
        "tickvals": [10.0**d for d in decades],
        "ticktext": [f"{100 * 10.0**d:.{max(0, -d - 2)}f}%" for d in decades],
    }


_CLEAR = "rgba(0, 0, 0, 0)"
_LOOKS: dict[str, Any] = {
    "template": "none",
    "paper_bgcolor": _CLEAR,
    "plot_bgcolor": _CLEAR,
    "height": HEIGHT,
    "font": {"color": INK, "size": 12},
    "margin": {"l": 10, "r": 10, "t": 58, "b": 10},
    "hovermode": "closest",
    "dragmode": False,
    "legend": {
        "orientation": "h",
        "x": 1,
        "xanchor": "right",
        "y": 1.02,
        "yanchor": "bottom",
        "bgcolor": _CLEAR,
    },
}
_AXIS: dict[str, Any] = {"gridcolor": GRID, "linecolor": GRID, "zeroline": False, "automargin": True}


def finish(figure: Any, x: str, y: str) -> None:
    """Give a figure the looks that all have: clear ground, mid-grey ink, titles of both axes.

    All of it in one assignment: Plotly's updates take five times as long, and a page has a dozen figures.
    """
    told = figure.layout.to_plotly_json()
    axes = {name for name in told if name[1:5] == "axis"} | {"xaxis", "yaxis"}
    looks = _LOOKS | {
        name: {**_AXIS, "title": {"text": x if name[0] == "x" else y, "font": {"size": 12}}} for name in axes
    }
    merged = {
        name: {**told.get(name, {}), **one} if isinstance(one, dict) else one for name, one in looks.items()
    }
    figure.layout = {**told, **merged}
