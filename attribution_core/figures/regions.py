"""A Plotly figure of a query whose fields are coloured by the creator of the closest training image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from attribution_core.analyses.regions import Cell, Grid
from attribution_core.common.images import data_uri
from attribution_core.figures.style import INK, finish, plain, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Distinguishable with colour-vision deficiency (after Okabe and Ito); each colour also has a letter.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b2558f", "#8a6d00", "#3a3ab8", "#a01c28", "#00707a")
OTHERS = "#5f6b80"
_LARGEST = 512  # px of the query in the page


def grid_map(grid: Grid, image: Image.Image, name_of: Callable[[str], str] = str) -> Figure:
    """Plot the query under its fields, with a colour and letter per name and shares of the fields in the legend.

    Empty fields stay clear; names after the eighth share one grey. name_of: how a name is shown.
    """
    go = plotly("graph_objects")

    figure, width, height = go.Figure(), image.width, image.height
    figure.add_layout_image(
        source=data_uri(image.convert("RGB"), _LARGEST),
        xref="x",
        yref="y",
        x=0,
        y=0,
        sizex=width,
        sizey=height,
        sizing="stretch",
        layer="below",
    )
    entries: list[tuple[str, str, str, tuple[str, ...], str]] = [
        (
            name_of(part.name),
            COLOURS[k],
            chr(65 + k),
            (part.name,),
            f"{part.share:.0%} of the fields, {part.training_share:.1%} of the training set",
        )
        for k, part in enumerate(grid.parts[: len(COLOURS)])
    ]
    if others := grid.parts[len(COLOURS) :]:
        entries.append(
            (
                f"{len(others)} others",
                OTHERS,
                "·",
                tuple(p.name for p in others),
                f"{sum(p.share for p in others):.0%} of the fields",
            )
        )
    for name, colour, letter, names, note in entries:
        mine = [
            (cell, caption)
            for cell, caption in zip(grid.cells, grid.captions, strict=True)
            if cell.name in names
        ]
        for cell, _ in mine:
            x0, y0, x1, y1 = (
                cell.box.x0 * width,
                cell.box.y0 * height,
                cell.box.x1 * width,
                cell.box.y1 * height,
            )
            figure.add_shape(
                type="rect",
                x0=x0,
                y0=y0,
                x1=x1,
                y1=y1,
                fillcolor=colour,
                opacity=0.42,
                line={"color": "white", "width": 2},
                layer="above",
            )
        centres = [_centre(cell, width, height) for cell, _ in mine]
        figure.add_scatter(
            x=[x for x, _ in centres],
            y=[y for _, y in centres],
            mode="markers+text",
            name=f"{letter}: {plain(name)} ({len(mine)})",
            text=[letter] * len(mine),
            textfont={"color": "white", "size": 12},
            marker={"symbol": "square", "size": 22, "color": colour, "line": {"color": "white", "width": 1}},
            customdata=[
                [plain(caption), f"{cell.similarity:.3f}", plain(name_of(cell.name))]
                for cell, caption in mine
            ],
            hovertemplate="closest to “%{customdata[0]}”<br>%{customdata[2]}, similarity %{customdata[1]}<br>"
            + plain(note)
            + "<extra></extra>",
        )
    finish(figure, "", "")
    figure.update_xaxes(range=[0, width], visible=False, constrain="domain")
    figure.update_yaxes(range=[height, 0], visible=False, scaleanchor="x", constrain="domain")
    figure.update_layout(
        height=460,
        margin={"l": 4, "r": 4, "t": 8, "b": 8},
        showlegend=True,
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": -0.02,
            "yanchor": "top",
            "font": {"color": INK},
        },
    )
    return figure


def _centre(cell: Cell, width: int, height: int) -> tuple[float, float]:
    box = cell.box
    return (box.x0 + box.x1) / 2 * width, (box.y0 + box.y1) / 2 * height
