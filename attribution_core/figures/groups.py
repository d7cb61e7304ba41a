"""A Plotly treemap of influences summed by creator, source, licence or style."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attribution_core.attribution.groups import Groups
from attribution_core.common.text import rounded_percent
from attribution_core.figures.style import draw, plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = (
    "#1d4ed8",
    "#b45309",
    "#0f766e",
    "#9d174d",
    "#4d7c0f",
    "#6d28d9",
    "#0369a1",
    "#991b1b",
    "#7c5a12",
)
"""Told apart beside each other; white text is legible on each."""
SMALL, REST = "#475569", "#64748b"


def group_map(groups: Groups, name_of: Callable[[str], str] = str) -> Figure:
    """Plot a treemap of the groups' shares, with small groups as one tile and everything else in grey.

    name_of: a group's name -> as it is shown.
    """
    shown = groups.leading()
    small = groups.groups[len(shown) :]
    tiles = [
        (
            plain(name_of(g.name)),
            g.influence,
            f"{g.listed} listed of {g.images:,}; {g.lift:.1f} times an even share",
            colour,
        )
        for g, colour in zip(shown, COLOURS, strict=False)
    ]
    if small:
        together = sum(g.influence for g in small)
        tiles.append(
            (f"{len(small)} more", together, ", ".join(plain(name_of(g.name)) for g in small[:5]), SMALL)
        )
    tiles.append(("not listed", groups.rest, "all training images that are not listed", REST))
    labels, values, notes, colours = (list(column) for column in zip(*tiles, strict=True))
    field = {
        "type": "treemap",
        "labels": labels,
        "parents": [""] * len(tiles),
        "values": values,
        "customdata": notes,
        "text": [rounded_percent(value) for value in values],
        "texttemplate": "%{label}<br><b>%{text}</b>",
        "textfont": {"size": 15, "color": "white"},
        "hovertemplate": "%{label}: %{text}<br>%{customdata}<extra></extra>",
        "marker": {"colors": colours, "line": {"width": 2, "color": "rgba(255, 255, 255, 0.6)"}},
        "tiling": {"pad": 2},
        "pathbar": {"visible": False},
    }
    return draw([field], "", "", margin={"t": 40}, uniformtext={"mode": "hide", "minsize": 11})
