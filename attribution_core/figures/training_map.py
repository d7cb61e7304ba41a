"""A Plotly figure of the map of a training set: one point an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import FloatArray
from attribution_core.common.text import one_line
from attribution_core.figures.style import CALIBRATED, INK, MARKED, draw, plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"),
    *("#e69f00", "#8000ff", "#99402e", "#4d88ff", "#00bf60"),
)
"""After Okabe and Ito, and four more: told apart by the colour-blind, and legible on white and on near-black."""
GREY = "rgba(128, 138, 158, 0.55)"
DRAWN = 200_000
"""Of more points, so many are drawn, chosen at random: the map is as dense here and there as with all of them."""
NAMED = 20_000
"""So many points at most carry their captions; of more, a click tells what they are."""
_CAPTION, _LEGEND = 60, 22  # characters
_HEIGHT = 540
_SCALE = [[0.0, "#56b4e9"], [0.5, "#0072b2"], [1.0, "#8000ff"]]


@dataclass(frozen=True, eq=False)
class Coloured:
    """Which points have which colour.

    groups: (n,) number of each point's group in `names`, -1 for the grey ones. names: at most as many as `COLOURS`.
    others: what the grey ones are.
    """

    groups: NDArray[np.int8]
    names: tuple[str, ...]
    others: str


@dataclass(frozen=True, eq=False)
class Influences:
    """Images that are drawn larger, by influence.

    ids: (k,) positions. values: (k,) their influence. name: of it. tick: how it is written, as Plotly's `tickformat`.
    """

    ids: NDArray[np.int64]
    values: FloatArray
    name: str
    tick: str = ""


@dataclass(frozen=True)
class Here:
    """The image that is shown. x, y: where it is placed. name: what is said of it."""

    x: float
    y: float
    name: str


def drawn(count: int) -> NDArray[np.int64]:
    """Positions of the points that are drawn of `count`: all, or `DRAWN` at random, the same each time."""
    if count <= DRAWN:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, DRAWN, replace=False))


def training_map(
    points: NDArray[np.uint16],
    captions: Sequence[str],
    coloured: Coloured | None = None,
    influences: Influences | None = None,
    here: Here | None = None,
) -> Figure:
    """Plot a map, its points in grey but for groups, or but for the images of some influence.

    points: (n, 2). captions: one each; unused from `NAMED` points on.
    """
    shown = drawn(len(points))
    names = [plain(_short(caption)) for caption in captions] if len(points) <= NAMED else None
    size = float(np.clip(480 / max(len(shown), 1) ** 0.5, 2, 9))

    def trace(ids: NDArray[np.int64], name: str, marker: dict[str, Any]) -> dict[str, Any]:
        full = plain(_short(name))
        told: dict[str, Any] = {"hoverinfo": "none"}  # which still takes clicks
        if names is not None:
            told = {
                "text": [names[k] for k in ids.tolist()],
                "hovertemplate": f"%{{text}}<extra>{full}</extra>",
            }
        return {
            "type": "scattergl",
            "mode": "markers",
            "x": points[ids, 0],
            "y": points[ids, 1],
            "name": plain(_short(name, _LEGEND)),
            "marker": {"size": size, "opacity": 0.75, "line": {"width": 0}, **marker},
            **told,
        }

    groups = np.full(len(points), -1, np.int8) if coloured is None else coloured.groups
    grey = shown[groups[shown] < 0]
    traces = []
    if len(grey):
        traces.append(trace(grey, coloured.others if coloured else "training images", {"color": GREY}))
    for number, name in enumerate(coloured.names if coloured else ()):
        ids = shown[groups[shown] == number]
        traces.append(trace(ids, name, {"color": COLOURS[number]}))
    if influences is not None:
        traces.append(_listed(trace, influences, size))
    if here is not None:
        traces.append(
            {
                "type": "scattergl",  # above the points, which lie over all that is no WebGL
                "mode": "markers",
                "x": [here.x],
                "y": [here.y],
                "name": "this image",
                "marker": {
                    "symbol": "star",
                    "size": 22,
                    "color": MARKED,
                    "line": {"width": 1.5, "color": "white"},
                },
                "hovertemplate": f"{plain(here.name)}<extra></extra>",
            }
        )
    bare = {"visible": False, "fixedrange": False}
    return draw(
        traces,
        "",
        "",
        height=_HEIGHT,
        margin={"l": 0, "r": 0, "t": 34, "b": 0},
        xaxis=bare,
        yaxis=bare,
        # small enough that a phone has two columns: in one, it would take the plot's place
        legend={
            "x": 0,
            "xanchor": "left",
            "y": 0,
            "yanchor": "top",
            "itemsizing": "constant",
            "font": {"size": 10.5},
        },
        modebar={
            "add": ["lasso2d"],
            "remove": ["select2d", "toImage", "autoScale2d"],
            "bgcolor": "rgba(0, 0, 0, 0)",
            "color": INK,
            "activecolor": CALIBRATED,
        },
    )


def _listed(trace: Any, influences: Influences, size: float) -> dict[str, Any]:
    """The listed images, the most influential drawn last and largest."""
    order = np.argsort(influences.values)
    values = influences.values[order]
    part = (values / max(float(values.max(initial=0.0)), 1e-12)) ** 0.5
    return {
        **trace(influences.ids[order], influences.name, {}),
        "showlegend": False,
        "marker": {
            "size": size + 2 + 10 * part,
            "color": values,
            "colorscale": _SCALE,
            "showscale": True,
            "colorbar": {
                "title": {"text": plain(influences.name)},
                "tickformat": influences.tick,
                "thickness": 12,
                "outlinewidth": 0,
            },
            "line": {"width": 0},
        },
    }


def _short(words: str, most: int = _CAPTION) -> str:
    shown = one_line(words)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
