"""The tab Regions: a part of the image attributed on its own, and whose image each field is closest to."""

from __future__ import annotations

from typing import Any

import gradio as gr
from PIL import Image

from attribution_core.analyses.regions import MOST_CELLS, Box, outlined
from attribution_core.attribution.groups import GroupBy
from attribution_core.attribution.result import Attribution
from attribution_core.errors import InvalidInputError
from attribution_core.figures.regions import grid_map
from ui.gradio_compat import keep_layers_unopened
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, VIEWS
from ui.services.app import Query, Services
from ui.services.regions import (
    MOST_LAYERS,
    AttributedRegion,
    Layer,
    RegionServices,
    between,
    box_of,
    corner_at,
)
from ui.session import Session, clicked
from ui.widgets import regions_html as words
from ui.widgets import regions_texts as texts
from ui.widgets.group_names import GROUP_CHOICES
from ui.widgets.picture_grid import picture_grid
from ui.widgets.status import status_line

SHOWN = 12
START = (25, 75, 25, 75)  # left, right, top, bottom in per cent
_CANVAS = 480  # px of the longer side that is painted on
_PAINTERS = 20  # whose layers are kept until they are looked at; of more, those that came first go


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    own = RegionServices(services)
    first = gr.State(None)  # the corner that was clicked first
    gr.HTML(
        texts.WHAT,
        elem_id="regions-words",
    )
    with gr.Row(elem_id="regions-row"):
        with gr.Column(scale=2, min_width=290):
            kind = gr.Radio(
                [texts.BOX, texts.PAINT], value=texts.BOX, label=texts.KIND, elem_id="region-kind"
            )
            with gr.Column(visible=True) as by_box:
                preview = gr.Image(
                    label=texts.PREVIEW,
                    format="png",
                    interactive=False,
                    elem_id="region-preview",
                    buttons=[],
                    height=340,
                )
                edges: list[Any] = []
                for pair in (("Left", "Right"), ("Top", "Bottom")):
                    with gr.Row():
                        edges += [
                            gr.Slider(
                                0,
                                100,
                                START[len(edges) + k],
                                step=1,
                                label=f"{name}, %",
                                elem_id=f"region-{name.lower()}",
                                min_width=130,
                            )
                            for k, name in enumerate(pair)
                        ]
                wrong = gr.HTML(elem_id="region-wrong")
                look_box = gr.Button(texts.LOOK_BOX, variant="primary", elem_id="look-box")
            with gr.Column(visible=False) as by_paint:
                gr.HTML(f"<h4>{texts.PAINT_OVER}</h4>", elem_classes="caption")
                editor = _painter(
                    label=texts.PAINT_OVER,
                    show_label=False,
                    elem_id="region-paint",
                    height=440,
                )
                look_paint = gr.Button(texts.LOOK_PAINT, variant="primary", elem_id="look-paint")
        with gr.Column(scale=3, min_width=300):
            answer = gr.HTML(texts.NOT_YET, elem_id="region-found")
            with gr.Row():
                cut = gr.Image(
                    label=texts.CUT,
                    format="png",
                    interactive=False,
                    elem_id="region-cut",
                    buttons=[],
                    height=170,
                    scale=1,
                    min_width=170,
                )
                gallery = picture_grid(
                    label=texts.CLOSEST,
                    columns=4,
                    elem_id="region-gallery",
                    elem_classes="known",
                    scale=4,
                    min_width=280,
                )
    with gr.Accordion(texts.TABLE, open=False, elem_id="region-table-fold"):
        table = gr.Dataframe(
            headers=list(texts.COLUMNS),
            datatype=list(texts.COLUMNS.values()),
            interactive=False,
            elem_id="region-table",
            max_height=420,
        )
    gr.HTML(f"<h3>{texts.GRID}</h3>", elem_classes="caption")
    with gr.Row():
        by = gr.Radio(
            GROUP_CHOICES,
            value=str(GroupBy.CREATOR),
            label=texts.GRID_BY,
            elem_id="grid-by",
            min_width=280,
        )
        cells = gr.Slider(
            2, MOST_CELLS, 4, step=1, label=texts.GRID_CELLS, elem_id="grid-cells", min_width=200
        )
    told = gr.HTML(elem_id="grid-words")
    picture = gr.Plot(show_label=False, elem_id="grid-map")
    with gr.Accordion(texts.KNOW, open=False, elem_id="regions-know"):
        gr.HTML(words.measured(own.measured, services.collection.method), elem_id="regions-measured")

    found = [answer, cut, gallery, table]

    def boxed(query: Query, box: Box) -> Any:
        """The preview with a box."""
        return gr.update(value=outlined(query.image, box), alt_text=texts.PREVIEW_ALT.format(query.title))

    def show(query: Query | None, result: Attribution | None, what: AttributedRegion) -> list[Any]:
        head = what.result.head(SHOWN)
        rows = words.table(head, result)
        images = [
            (str(services.training_image(int(i))), f"{s:.2f} · {credit.description}")
            for i, s, credit in zip(head.ids, head.similarity, head.credits, strict=True)
        ]
        return [
            words.answer(what),
            gr.update(value=what.region.image, alt_text=texts.CUT_ALT.format(query.title if query else "")),
            gr.update(value=images, selected_index=None),
            gr.update(value=rows, datatype=[texts.COLUMNS[name] for name in rows["headers"]]),
        ]

    @handler
    def open_tab(query: Query | None) -> list[Any]:
        if query is None:
            return [None, None, "", *START, None, texts.NOT_YET, None, None, None]
        return [
            boxed(query, box_of(START)),
            None,
            "",
            *START,
            _canvas(query.image),
            texts.NOT_YET,
            None,
            None,
            None,
        ]

    @handler
    def choose_kind(chosen: str) -> list[Any]:
        return [gr.update(visible=chosen == texts.BOX), gr.update(visible=chosen == texts.PAINT)]

    @handler
    def move_edges(query: Query | None, *edges: float) -> list[Any]:
        # While one edge is on its way past the other, a toast at every step would be in the way.
        try:
            return [None if query is None else boxed(query, box_of(edges)), None, ""]
        except InvalidInputError as error:
            return [
                gr.skip(),
                None,
                status_line(str(error).capitalize()),
            ]

    @handler
    def set_corner(query: Query | None, corner: tuple[int, int] | None, event: gr.EventData) -> list[Any]:
        if query is None:
            return [None, None, "", *[gr.skip()] * 4]
        shown = outlined(query.image, box_of(START)).size
        here = corner_at(clicked(event), shown)
        if corner is None:
            return [boxed(query, box_of(between(here, here))), here, "", *[gr.skip()] * 4]
        chosen = between(corner, here)
        return [boxed(query, box_of(chosen)), None, "", *chosen]

    @handler
    def attribute_box(
        query: Query | None, result: Attribution | None, method: str, *edges: float
    ) -> list[Any]:
        return show(query, result, own.box(query, method, edges))

    @handler
    def attribute_painted(
        query: Query | None, result: Attribution | None, method: str, layers: list[Layer] | None
    ) -> list[Any]:
        return show(query, result, own.painted(query, method, layers))

    @handler
    def region_grid(query: Query | None, method: str, by: str, cells: float) -> list[Any]:
        if query is None:
            return [
                texts.NO_IMAGE,
                None,
            ]
        drawn = own.grid(query, method, by, cells)
        name_of = services.collection.corpus.maker if drawn.by is GroupBy.CREATOR else str
        return [words.grid_sentence(drawn, name_of), grid_map(drawn, query.image, name_of)]

    quiet: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}
    opened = [preview, first, wrong, *edges, editor, *found]
    seen = gr.State(None)  # the query that the tab shows

    @handler
    def see_tab(query: Query | None, shown: Query | None) -> list[Any]:
        """What was chosen stays until there is another image."""
        return [
            query,
            *([gr.skip()] * len(opened) if query is shown and query is not None else open_tab(query)),
        ]

    asked_grid = [session.query, session.method, by, cells]
    session.on_open(see_tab, [session.query, seen], [seen, *opened], api_name="see_regions", **quiet)
    session.on_open(
        region_grid,
        asked_grid,
        [told, picture],
        api_name="first_region_grid",
        **quiet,
        **VIEWS,
    )
    session.follow_return(
        see_tab, [session.query, seen], [seen, *opened], api_name="regions_returned", **quiet
    )
    session.follow_return(
        region_grid, asked_grid, [told, picture], api_name="region_grid_returned", **quiet, **VIEWS
    )
    kind.input(choose_kind, kind, [by_box, by_paint], api_name="region_kind", **quiet)
    gr.on(
        [edge.input for edge in edges],
        move_edges,
        [session.query, *edges],
        [preview, first, wrong],
        api_name="move_edges",
        trigger_mode="always_last",
        **quiet,
    )
    preview.select(
        set_corner, [session.query, first], [preview, first, wrong, *edges], api_name="set_corner", **quiet
    )
    look_box.click(
        attribute_box,
        [session.query, session.result, session.method, *edges],
        found,
        api_name="attribute_box",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    look_paint.click(
        attribute_painted,
        [session.query, session.result, session.method, editor],
        found,
        api_name="attribute_painted",
        api_visibility="undocumented",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    gr.on(
        [by.input, cells.release],
        region_grid,
        asked_grid,
        [told, picture],
        api_name="region_grid",
        trigger_mode="always_last",
        show_progress="minimal",
        **ATTRIBUTION,
    )


def _painter(**options: Any) -> gr.ImageEditor:
    editor = gr.ImageEditor(
        sources=(),
        transforms=(),
        layers=False,
        buttons=[],
        canvas_size=(_CANVAS, _CANVAS),
        format="png",
        brush=gr.Brush(default_size=36, colors=["rgb(208, 72, 62)"], color_mode="fixed"),
        **options,
    )
    keep_layers_unopened(editor, MOST_LAYERS, _PAINTERS)
    return editor


def _canvas(image: Image.Image) -> dict[str, Any]:
    scale = _CANVAS / max(image.size)
    large = image.convert("RGB").resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
    )
    return {"background": large, "layers": [], "composite": large}
