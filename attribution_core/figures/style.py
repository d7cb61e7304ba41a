"""The looks that all figures share: colours, axes, ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution_core.common.optional import import_optional

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CALIBRATED, UNCALIBRATED, MARKED = "#2f7fe0", "#c9852b", "#d0483e"
INK, GRID = "#7a8599", "rgba(128, 138, 158, 0.25)"
HEIGHT = 380


def plain(words: str) -> str:
    """Plotly reads a subset of HTML in its texts, and captions and names are anybody's words."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def error_bars(
    value: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str
) -> dict[str, Any]:
    """Bars from low to high around each value."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [most - v for v, most in zip(value, high, strict=True)],
        "arrayminus": [v - least for v, least in zip(value, low, strict=True)],
        "color": colour,
        "thickness": 1.5,
        "width": 0,
    }


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


def plotly(module: str) -> Any:
    """A module of Plotly, such as "graph_objects". Raises `MissingDependencyError`."""
    return import_optional(f"plotly.{module}", "drawing figures")


def draw(traces: list[dict[str, Any]], x: str, y: str, **layout: Any) -> Figure:
    """A figure with the looks that all have, from plain traces and what its layout has beside the looks.

    Plotly looks at every value that it is given, which takes ten times as long as to draw it, and a page has a dozen
    figures: here it does not, and the tests let it look at each figure.
    """
    return plotly("graph_objects").Figure(
        {"data": traces, "layout": _merged(_looks(layout, x, y), layout)}, _validate=False
    )


def finish(figure: Figure, x: str, y: str) -> None:
    """Give a figure that was put together otherwise the same looks.

    All of it in one assignment: Plotly's updates take five times as long.
    """
    layout = figure.layout.to_plotly_json()
    figure.layout = _merged(layout, _looks(layout, x, y))


def _looks(layout: Mapping[str, Any], x: str, y: str) -> dict[str, Any]:
    """Clear ground, mid-grey ink, titles of all axes that the layout has, of both at least."""
    axes = {"xaxis", "yaxis"} | {name for name in layout if name[1:5] == "axis"}
    return _LOOKS | {
        name: {**_AXIS, "title": {"text": x if name[0] == "x" else y, "font": {"size": 12}}} for name in axes
    }


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the second where they differ; their dicts are joined in the same way."""
    return {
        **first,
        **{
            name: {**first.get(name, {}), **one} if isinstance(one, Mapping) else one
            for name, one in second.items()
        },
    }
