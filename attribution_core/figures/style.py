"""The shared style of all figures: colours, axes, background."""

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
    """Escape text for Plotly, which renders a subset of HTML; captions and names are untrusted."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def error_bars(
    value: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str
) -> dict[str, Any]:
    """Return Plotly's error bars from low to high around each value."""
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
    """Return a log axis of shares in per cent, from the decade of `least` to 100 %."""
    decades = range(0, -1 - int(np.ceil(-np.log10(least))), -1)
    return {
        "type": "log",
        "range": [decades[-1], 0.15],
        "tickvals": [10.0**d for d in decades],
        "ticktext": [f"{100 * 10.0**d:.{max(0, -d - 2)}f}%" for d in decades],
    }


_CLEAR = "rgba(0, 0, 0, 0)"
_STYLE: dict[str, Any] = {
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
    """Import a module of Plotly, such as "graph_objects". Raises `MissingDependencyError`."""
    return import_optional(f"plotly.{module}", "drawing figures")


def draw(traces: list[dict[str, Any]], x: str, y: str, **layout: Any) -> Figure:
    """Build a figure with the shared style from plain traces and further layout.

    Plotly's validation is off here: it takes ten times as long as building the figure, and a page has a dozen. Tests
    validate every figure instead.
    """
    return plotly("graph_objects").Figure(
        {"data": traces, "layout": _merge(_style(layout, x, y), layout)}, _validate=False
    )


def finish(figure: Figure, x: str, y: str) -> None:
    """Apply the shared style to an existing figure.

    The layout is assigned once, because Plotly's update methods take five times as long.
    """
    layout = figure.layout.to_plotly_json()
    figure.layout = _merge(layout, _style(layout, x, y))


def _style(layout: Mapping[str, Any], x: str, y: str) -> dict[str, Any]:
    """Return the shared layout with titled axes: all that the layout has, and at least x and y."""
    axes = {"xaxis", "yaxis"} | {name for name in layout if name[1:5] == "axis"}
    return _STYLE | {
        name: {**_AXIS, "title": {"text": x if name[0] == "x" else y, "font": {"size": 12}}} for name in axes
    }


def _merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two layouts and their nested dicts; the second wins."""
    return {
        **first,
        **{
            name: {**first.get(name, {}), **one} if isinstance(one, Mapping) else one
            for name, one in second.items()
        },
    }
