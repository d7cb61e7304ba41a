"""The tab Attribution: the query beside the training images that most likely influenced it, with credits."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any

import gradio as gr

from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.attribution.works import Work
from attribution_core.common.text import one_in, percent_range, rounded_percent
from attribution_core.reports.wording.attribution import place_in_work
from ui.handler import handler
from ui.services.app import Query, Services
from ui.session import Session, as_file, place
from ui.tabs import report_buttons
from ui.widgets.facts import credit_facts, facts_list
from ui.widgets.picture_grid import picture_grid
from ui.widgets.set_links import alike_link
from ui.widgets.sheet import CLOSE_DETAILS, SHOW_DETAILS

SHOWN = 12
COLUMNS = [
    "rank",
    "share %",
    "at least %",
    "at most %",
    "similarity",
    "uncalibrated %",
    "caption",
    "maker",
    "licence",
    "source",
    "link",
    "id",
]
_TYPES = ["number"] * 6 + ["str"] * 6
_THINNEST, _THICKEST = 1.5, 9.0  # px of the frame around a training image


def build_head(services: Services, session: Session) -> None:
    """What stands above all parts: the joined verdict."""
    session.verdict_boxes[0].render()


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    most = min(services.settings.top, len(services.collection.index))
    with gr.Row(elem_id="attribution-row"):
        with gr.Column(scale=2, min_width=260, elem_id="query-column"):
            claim = gr.Checkbox(
                False,
                label="It was made by a model trained on these images",
                elem_id="claim",
                visible=False,
            )
            image = gr.Image(
                label="The image",
                format="png",
                interactive=False,
                elem_id="query",
                alt_text="The image whose sources are listed",
                buttons=["fullscreen"],
                height=280,
            )
            with gr.Column(elem_id="details"):
                gr.HTML(CLOSE_DETAILS, elem_id="close-details")
                chosen = gr.Image(
                    label="Training image",
                    interactive=False,
                    elem_id="chosen",
                    alt_text="The training image that is described below",
                    buttons=["fullscreen"],
                    height=280,
                )
                facts = gr.HTML(elem_id="facts")
        with gr.Column(scale=5, min_width=300):
            bar = gr.HTML(elem_id="rest")
            frames = gr.HTML(elem_id="frames")
            gr.HTML("<h3>Strongest training images; choose one for its details</h3>", elem_classes="caption")
            gallery = picture_grid(
                label="Training images by influence",
                columns=4,
                elem_id="gallery",
            )
            with gr.Row(elem_id="list-row"):
                session.method.render()
                top = gr.Slider(
                    1,
                    most,
                    min(SHOWN, most),
                    step=1,
                    label="Images listed",
                    elem_id="top",
                    scale=3,
                    min_width=320,
                )
                csv = gr.DownloadButton("CSV", elem_id="csv", scale=1, min_width=90)
                json = gr.DownloadButton("JSON", elem_id="json", scale=1, min_width=90)
            report_buttons.build(services, session, top)
    with gr.Accordion("The same as a table", open=False, elem_id="table-fold"):
        table = gr.Dataframe(
            headers=COLUMNS,
            datatype=_TYPES,
            interactive=False,
            elem_id="table",
            wrap=False,
            show_search="filter",
            max_height=480,
        )
    listed = [bar, frames, gallery, table, csv, json]
    number = gr.Number(1, precision=0, visible=False)  # which rank; in the browser the click says it

    def draw_list(result: Attribution | None, count: float) -> list[Any]:
        if result is None:
            return ["", "", None, None, None, None]
        head = result.head(max(1, min(int(count), most)))
        images = [
            (str(services.training_image(int(head.ids[work.places[0]]))), _label(head, work))
            for work in head.works
        ]
        return [
            _rest_bar(head),
            _frames(head),
            gr.update(value=images, selected_index=None),
            _table(head),
            as_file(head.to_csv().encode(), "attribution.csv"),
            as_file(head.to_json().encode(), "attribution.json"),
        ]

    def draw_details(result: Attribution | None, rank: int) -> list[Any]:
        if result is None:
            return [None, ""]
        position = int(result.ids[rank - 1])
        stored = services.collection.corpus.has_image(position)
        return [str(services.training_image(position)), _facts(result, rank, stored)]

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        return [
            gr.update(
                visible=result is not None and result.made_by is not MadeBy.THIS_GENERATOR,
                value=result is not None and result.made_by is MadeBy.SAID_SO,
            ),
            None if query is None else as_file(query.png, f"{query.file_name}.png"),
            *draw_details(result, 1),
            gr.update(value=min(SHOWN, most)),
            *draw_list(result, SHOWN),
        ]

    @handler
    def list_top(result: Attribution | None, count: float) -> list[Any]:
        return draw_list(result, count)

    @handler
    def show_details(result: Attribution | None, number: float, event: gr.EventData) -> list[Any]:
        if result is None:
            return draw_details(result, place(number, event, 0))
        entry = place(number, event, len(result.works))
        return draw_details(result, result.works[entry - 1].places[0] + 1)

    @handler
    def set_method(query: Query | None, method: str) -> Query | None:
        services.attributor(method)
        return query

    @handler
    def set_claim(query: Query | None, claimed: bool) -> Query | None:
        return None if query is None else replace(query, said_so=claimed)

    session.add_view([claim, image, chosen, facts, top, *listed], draw)
    switched = session.method.input(
        set_method,
        [session.query, session.method],
        session.made,
        api_name="set_method",
        show_progress="hidden",
    )
    session.attribute_after(switched)
    claimed = claim.input(
        set_claim,
        [session.query, claim],
        session.made,
        api_name="set_claim",
        show_progress="hidden",
    )
    session.attribute_after(claimed)
    top.release(list_top, [session.result, top], listed, api_name="list_top", show_progress="hidden")
    picked = gallery.select(
        show_details,
        [session.result, number],
        [chosen, facts],
        api_name="show_details",
        show_progress="hidden",
    )
    picked.then(None, js=SHOW_DETAILS)


def _label(head: Attribution, work: Work) -> str:
    first = work.places[0]
    description = head.credits[first].description or head.name_of(first)
    if not head.has_shares:
        return f"{head.similarity[first]:.2f} · {description}"
    more = f" ×{len(work.places)}" if work.near_duplicates else ""
    return f"{rounded_percent(work.influence)}{more} · {description}"


def _rest_bar(head: Attribution) -> str:
    if not head.has_shares:
        return ""
    others, share = head.n_training - len(head), 1 - head.rest
    listed = "1 listed image" if len(head) == 1 else f"{len(head)} listed images"
    label = (
        f"{listed}: {rounded_percent(share)}; the {others:,} others together: {rounded_percent(head.rest)}"
    )
    return (
        f'<div class="rest" role="img" aria-label="{label}"><div class="track"><div class="fill" '
        f'style="width:{share:.2%}"></div></div><p><span><b>{rounded_percent(share)}</b> {listed}</span>'
        f"<span><b>{rounded_percent(head.rest)}</b> the {others:,} others together</span></p></div>"
    )


def _frames(head: Attribution) -> str:
    """A style sheet: each entry's image is framed as thickly as its share of the strongest's influence."""
    shares = [work.influence for work in head.works]
    strongest = max(*shares, 1e-12)
    rules = []
    for k, share in enumerate(shares, 1):
        part = share / strongest
        rules.append(
            f"#gallery .grid-container > :nth-child({k}) {{ --frame: "
            f"{_THINNEST + (_THICKEST - _THINNEST) * part:.1f}px; --strength: {25 + 75 * part:.0f}%; }}"
        )
    return f"<style>{' '.join(rules)}</style>"


def _table(head: Attribution) -> dict[str, Any]:
    """A row for each listed image, without the columns of shares where it has none."""
    shown = [k for k, name in enumerate(COLUMNS) if head.has_shares or "%" not in name]
    words = ("caption", "creator", "licence", "source", "link", "id")
    rows = [
        [
            t["rank"],
            *(round(100 * t[name], 4) for name in ("influence", "low", "high")),
            round(t["similarity"], 4),
            round(100 * t["uncalibrated"], 4),
            *((t | {"creator": credit.maker})[name] for name in words),
        ]
        for t, credit in zip(head.to_dict()["top"], head.credits, strict=True)
    ]
    columns, types = ([names[k] for k in shown] for names in (COLUMNS, _TYPES))
    value = {"headers": columns, "data": [[row[k] for k in shown] for row in rows]}
    return gr.update(value=value, datatype=types)


def _facts(result: Attribution, rank: int, stored: bool = True) -> str:
    k, credit = rank - 1, result.credits[rank - 1]
    low, high = float(result.influence_low[k]), float(result.influence_high[k])
    share, between = float(result.influence[k]), percent_range(low, high)
    count = one_in(share)
    shares = [
        ("Influence", f"<b>{rounded_percent(share)}</b>{f', {count}' if count else ''}"),
        (
            "Certainly" if str(result.kind) == "exact" else "99% interval",
            between if " to " in between else "",
        ),
        ("Near-duplicates", html.escape(place_in_work(result.work_of(k), k))),
    ]
    return facts_list(
        result.name_of(k),
        [
            *(shares if result.has_shares else ()),
            ("Rank", f"{rank} of {result.n_training:,}"),
            ("Similarity", f"{result.similarity[k]:.3f}"),
            *credit_facts(credit, stored=stored),
            ("Also", alike_link(credit)),
        ],
    )
