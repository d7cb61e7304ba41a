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


def finish(figure: Any, x: str, y: str) -> None:
    """Give a figure the looks that all have: clear ground, mid-grey ink, titles of both axes."""
    clear = "rgba(0, 0, 0, 0)"
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "title_font_size": 12,
        "automargin": True,
    }
    figure.update_layout(
        template="none",
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        height=HEIGHT,
        font={"color": INK, "size": 12},
        margin={"l": 10, "r": 10, "t": 58, "b": 10},
        hovermode="closest",
        dragmode=False,
        legend={
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 1.02,
            "yanchor": "bottom",
            "bgcolor": clear,
        },
    )
    figure.update_xaxes(title=x, **axis)
    figure.update_yaxes(title=y, **axis)
