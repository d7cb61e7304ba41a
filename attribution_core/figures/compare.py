"""A Plotly figure of two attributions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution_core.attribution.compare import Comparison
from attribution_core.figures.attribution import caption
from attribution_core.figures.style import CALIBRATED, GRID, INK, MARKED, finish, plain, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def slopes(comparison: Comparison, left_name: str, right_name: str) -> Figure:
    """Plot the ranks of the first images on both sides, rank 1 on top, with lines between the ranks of the same image.

    Lines are blue for a change of at most one rank, else red; images that only one side lists are grey dots.
    """
    go = plotly("graph_objects")

    figure, count = go.Figure(), comparison.top
    for steady, colour, name in (
        (True, CALIBRATED, "at most one place apart"),
        (False, MARKED, "further apart"),
    ):
        chosen = [s for s in comparison.shared if (abs(s.left - s.right) <= 1) is steady]
        x: list[int | None] = []
        y: list[int | None] = []
        words: list[str | None] = []
        for s in chosen:
            text = (
                f"{caption(comparison.left, s.left - 1)}<br>rank {s.left} on the left, {s.right} on the right"
            )
            x += [0, 1, None]
            y += [s.left, s.right, None]
            words += [text, text, None]
        if chosen:
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
                marker={"size": 9, "color": colour},
                name=name,
                customdata=words,
                hovertemplate="%{customdata}<extra></extra>",
            )
    for side, place in ((comparison.left, 0), (comparison.right, 1)):
        on_both = {(s.left, s.right)[place] for s in comparison.shared}
        alone = [rank for rank in range(1, count + 1) if rank not in on_both]
        if alone:
            figure.add_scatter(
                x=[place] * len(alone),
                y=alone,
                mode="markers",
                name="on this side only",
                legendgroup="alone",
                showlegend=place == 0,
                marker={"size": 8, "color": "rgba(0, 0, 0, 0)", "line": {"color": INK, "width": 2}},
                customdata=[caption(side, rank - 1) for rank in alone],
                hovertemplate="%{customdata}<br>rank %{y}, on this side only<extra></extra>",
            )
    finish(figure, "", "rank")
    figure.update_xaxes(
        tickvals=[0, 1],
        ticktext=[plain(left_name), plain(right_name)],
        range=[-0.15, 1.15],
        side="top",
        gridcolor=GRID,
        tickfont={"size": 13},
    )
    figure.update_yaxes(range=[count + 0.7, 0.3], dtick=1 if count <= 20 else 10, showgrid=False)
    figure.update_layout(margin={"t": 70, "b": 40}, legend={"y": -0.02, "yanchor": "top"})
    return figure
