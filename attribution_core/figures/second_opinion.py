"""A Plotly scatter plot of ranks by similarity against ranks by unlearning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.figures.style import CALIBRATED, GRID, INK, MARKED, finish, plain, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def rank_scatter(opinion: SecondOpinion, top: int = 10) -> Figure:
    """Plot one dot per image, rank 1 at the top left; on the line both methods agree.

    Red: far apart. Hollow: drawn at random. top: how many ranks count as the first; see `SecondOpinion.apart`.
    """
    go = plotly("graph_objects")

    apart = set(opinion.apart(top))
    figure, count = go.Figure(), len(opinion)
    figure.add_scatter(
        x=[1, count],
        y=[1, count],
        mode="lines",
        line={"color": GRID, "width": 2},
        showlegend=False,
        hoverinfo="skip",
    )
    every = range(count)
    for name, rows, marker in (
        (
            "on the list",
            [k for k in every if opinion.listed[k] and k not in apart],
            {"color": CALIBRATED, "size": 8},
        ),
        (
            "drawn at random",
            [k for k in every if not opinion.listed[k] and k not in apart],
            {"color": "rgba(0, 0, 0, 0)", "size": 8, "line": {"color": INK, "width": 1.5}},
        ),
        ("far apart", sorted(apart), {"color": MARKED, "size": 10, "symbol": "diamond"}),
    ):
        if not rows:
            continue
        figure.add_scatter(
            x=[int(opinion.rank_similarity[k]) for k in rows],
            y=[int(opinion.rank_unlearning[k]) for k in rows],
            mode="markers",
            name=name,
            marker=marker,
            customdata=[plain(opinion.credits[k].caption or opinion.credits[k].id) for k in rows],
            hovertemplate="%{customdata}<br>place %{x} by similarity, %{y} by unlearning<extra></extra>",
        )
    finish(figure, "place by similarity", "place by unlearning")
    figure.update_xaxes(range=[0, 1.02 * count])
    figure.update_yaxes(range=[1.02 * count, 0])
    figure.update_layout(height=460, legend={"y": -0.14, "yanchor": "top"})
    return figure
