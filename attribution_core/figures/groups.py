"""A Plotly treemap of influences summed by creator, source, licence or style."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attribution_core.attribution.groups import Groups
from attribution_core.figures.style import draw, plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FAINT, STRONG, REST = (86, 116, 159), (23, 62, 190), "#5f6b80"


def group_map(groups: Groups) -> Figure:
    """Plot a treemap of the groups' shares, shaded by lift, with everything else in grey."""
    names = [plain(g.name) for g in groups.groups]
    # From 1/16 to 64 times an even share; white text is legible on the whole range.
    depth = [float(np.clip((np.log2(max(g.lift, 1e-9)) + 4) / 10, 0, 1)) for g in groups.groups]
    notes = [f"{g.listed} listed of {g.images:,}; {g.lift:.1f} times an even share" for g in groups.groups]
    colours = [
        "#{:02x}{:02x}{:02x}".format(*(round(a + (b - a) * d) for a, b in zip(FAINT, STRONG, strict=True)))
        for d in depth
    ]
    field = {
        "type": "treemap",
        "labels": [*names, "everything else"],
        "parents": [""] * (len(names) + 1),
        "values": [*(g.influence for g in groups.groups), groups.rest],
        "customdata": [*notes, "not listed"],
        "texttemplate": "%{label}<br>%{value:.1%}",
        "textfont": {"size": 14, "color": "white"},
        "hovertemplate": "%{label}: %{value:.2%}<br>%{customdata}<extra></extra>",
        "marker": {"colors": [*colours, REST], "line": {"width": 2, "color": "rgba(255, 255, 255, 0.6)"}},
        "tiling": {"pad": 2},
        "pathbar": {"visible": False},
    }
    return draw([field], "", "", margin={"t": 40})
