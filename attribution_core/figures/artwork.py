"""Plotly figures of how an artist's images rank among the training images."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING, Any

from attribution_core.analyses.artwork.lesson import WithAndWithout
from attribution_core.analyses.artwork.standing import Standing
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.figures.style import (
    CALIBRATED,
    INK,
    MARKED,
    error_bars,
    finish,
    plain,
    plotly,
    share_axis,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MINE, TRAINING = MARKED, CALIBRATED
ROW = 30  # px of one row
_SHORT = 22  # characters of a name beside an axis
_TICKS = 4  # labelled decades, so that labels do not overlap on a phone


def beside_the_strongest(standing: Standing, top: int = 8) -> Figure:
    """Plot the shares of the artist's images, together and singly, against the strongest training images.

    top: number of training images, and at most as many of the artist's, closest first. Log scale, with intervals.
    """
    go = plotly("graph_objects")

    result, rows = standing.attribution, []
    if len(standing.pieces) > 1:
        rows.append(
            ("your images together", standing.share, standing.share_low, standing.share_high, MINE, "")
        )
    rows += [
        (f"yours: {p.title}", p.influence, p.low, p.high, MINE, f"number {p.rank:,}")
        for p in standing.pieces[:top]
    ]
    rows += [
        (
            result.credits[k].short_caption or result.name_of(k),
            float(result.influence[k]),
            float(result.influence_low[k]),
            float(result.influence_high[k]),
            TRAINING,
            f"number {int(result.rank[k]):,}",
        )
        for k in standing.strongest[:top]
    ]
    even = 1 / result.n_training
    rows.sort(key=lambda row: row[1])
    least = min(even, min(row[1] for row in rows)) / 2
    figure = go.Figure()
    for colour, name in ((MINE, "yours"), (TRAINING, "training images")):
        mine = [(place, row) for place, row in enumerate(rows) if row[4] == colour]
        figure.add_scatter(
            x=[max(row[1], least) for _, row in mine],
            y=[place for place, _ in mine],
            mode="markers",
            name=name,
            marker={"size": 11, "color": colour, "symbol": "diamond" if colour == MINE else "circle"},
            error_x=error_bars(
                [row[1] for _, row in mine],
                [row[2] for _, row in mine],
                [row[3] for _, row in mine],
                colour,
            ),
            customdata=[[plain(row[0]), row[5], row[1], row[2], row[3]] for _, row in mine],
            hovertemplate="%{customdata[0]}<br>%{customdata[2]:.4%} (%{customdata[3]:.4%} to %{customdata[4]:.4%})"
            "<br>%{customdata[1]}<extra></extra>",
        )
    _even_line(figure, even)
    finish(figure, "share of the influence", "")
    _below(figure, 24 * len(rows), least)
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[_short(row[0]) for row in rows],
        range=[-0.7, len(rows) - 0.3],
    )
    return figure


def shares_by_prompt(survey: Survey) -> Figure:
    """Plot, for each prompt, the artist's share and the strongest training image's, closest on top; log scale."""
    go = plotly("graph_objects")

    rows = survey.ranked[::-1]
    strongest = [float(r.standing.attribution.influence[r.standing.strongest[0]]) for r in rows]
    even = len(rows[0].standing.pieces) / rows[0].standing.attribution.n_training
    least = min([even, *(r.standing.share for r in rows)]) / 2
    figure = go.Figure()
    figure.add_scatter(
        x=strongest,
        y=list(range(len(rows))),
        mode="markers",
        name="strongest training image",
        marker={"size": 10, "color": TRAINING, "symbol": "circle-open", "line": {"width": 2}},
        customdata=[plain(r.standing.attribution.name_of(r.standing.strongest[0])) for r in rows],
        hovertemplate="%{customdata}: %{x:.3%}<extra></extra>",
    )
    figure.add_scatter(
        x=[max(r.standing.share, least) for r in rows],
        y=list(range(len(rows))),
        mode="markers",
        name="yours together",
        marker={"size": 11, "color": MINE, "symbol": "diamond"},
        error_x=error_bars(
            [r.standing.share for r in rows],
            [r.standing.share_low for r in rows],
            [r.standing.share_high for r in rows],
            MINE,
        ),
        customdata=[[plain(r.prompt), f"{r.standing.best.rank:,}"] for r in rows],
        hovertemplate="%{customdata[0]}: %{x:.4%}<br>your closest at number %{customdata[1]}<extra></extra>",
    )
    _even_line(figure, even)
    finish(figure, "share of the influence", "")
    _prompt_rows(figure, [r.prompt for r in rows], least)
    return figure


def ranks_by_prompt(survey: Survey) -> Figure:
    """Plot, for each prompt, the ranks of all the artist's images, in the order of `shares_by_prompt`; log scale."""
    go = plotly("graph_objects")

    rows = survey.ranked[::-1]
    figure = go.Figure()
    for first, name in ((True, "your closest"), (False, "your others")):
        shown = [
            (y, p)
            for y, row in enumerate(rows)
            for p in (row.standing.pieces[:1] if first else row.standing.pieces[1:])
        ]
        if shown:
            figure.add_scatter(
                x=[p.rank for _, p in shown],
                y=[y for y, _ in shown],
                mode="markers",
                name=name,
                marker={
                    "size": 11 if first else 7,
                    "color": MINE if first else INK,
                    "symbol": "diamond" if first else "circle-open",
                },
                customdata=[plain(p.title) for _, p in shown],
                hovertemplate="%{customdata}: number %{x:,}<extra></extra>",
            )
    finish(figure, "rank among all candidates", "")
    _prompt_rows(figure, [r.prompt for r in rows])
    figure.update_xaxes(type="log", dtick=1, tickformat=",d", rangemode="normal")
    return figure


def moved(comparison: WithAndWithout) -> Figure:
    """Plot, for each prompt, an arrow from the artist's share before learning their images to after; log scale."""
    go = plotly("graph_objects")

    rows = comparison.pairs[::-1]
    even = len(rows[0].before.pieces) / rows[0].before.attribution.n_training
    least = min([even, *(s.share for r in rows for s in (r.before, r.after))]) / 2
    figure = go.Figure()
    for y, row in enumerate(rows):
        figure.add_annotation(
            x=_log(row.after.share),
            ax=_log(row.before.share),
            y=y,
            ay=y,
            xref="x",
            axref="x",
            yref="y",
            ayref="y",
            showarrow=True,
            arrowhead=2,
            arrowwidth=2,
            arrowcolor=INK,
            text="",
            standoff=7,
            startstandoff=7,
        )
    for side, name, colour, symbol in (
        ("before", "as it is", TRAINING, "circle-open"),
        ("after", "having learned from you", MINE, "diamond"),
    ):
        standings = [getattr(row, side) for row in rows]
        figure.add_scatter(
            x=[s.share for s in standings],
            y=list(range(len(rows))),
            mode="markers",
            name=name,
            marker={"size": 11, "color": colour, "symbol": symbol, "line": {"width": 2, "color": colour}},
            customdata=[
                [plain(row.prompt), f"{s.best.rank:,}"] for row, s in zip(rows, standings, strict=True)
            ],
            hovertemplate="%{customdata[0]}: %{x:.4%}<br>your closest at number %{customdata[1]}<extra>"
            + name
            + "</extra>",
        )
    _even_line(figure, even)
    finish(figure, "your share of the influence", "")
    _prompt_rows(figure, [r.prompt for r in rows], least)
    return figure


def _log(share: float) -> float:
    """Return the exponent by which Plotly positions annotations on a log axis."""
    return log10(max(share, 1e-12))


def _short(name: str) -> str:
    return plain(name if len(name) <= _SHORT else f"{name[: _SHORT - 1]}…")


def _below(figure: Any, height: int, least: float | None) -> None:
    """Make room for `height` px of rows and put the legend below, where it may take two lines on a phone.

    least: start of an axis of shares, on which only some decades are labelled; None for other axes.
    """
    figure.update_layout(
        height=158 + height,
        margin={"t": 58, "b": 92},
        legend={"x": 0.5, "xanchor": "center", "yref": "container", "y": 0, "yanchor": "bottom"},
    )
    if least is not None:
        axis = share_axis(least)
        step = -(-len(axis["tickvals"]) // _TICKS)
        figure.update_xaxes(
            **{
                **axis,
                "tickvals": axis["tickvals"][::step],
                "ticktext": axis["ticktext"][::step],
                "tickangle": 0,
            }
        )


def _prompt_rows(figure: Any, prompts: Sequence[str], least: float | None = None) -> None:
    _below(figure, ROW * len(prompts), least)
    figure.update_yaxes(
        tickvals=list(range(len(prompts))),
        ticktext=[_short(p) for p in prompts],
        range=[-0.7, len(prompts) - 0.3],
    )


def _even_line(figure: Any, even: float) -> None:
    """Mark the share that every candidate would have if all were equal."""
    figure.add_vline(x=even, line={"color": INK, "width": 1, "dash": "dash"})
    figure.add_annotation(
        x=_log(even),
        y=1,
        yref="paper",
        yanchor="bottom",
        text="even share",
        showarrow=False,
        font={"size": 11, "color": INK},
    )
