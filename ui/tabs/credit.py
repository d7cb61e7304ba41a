"""The part By maker: shares summed by maker, source, licence or style, over one image or the visit."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from attribution_core.attribution.groups import UNKNOWN, GroupBy, Groups, group
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import listing, rounded_percent
from attribution_core.figures.groups import group_map
from ui.handler import handler
from ui.services.app import Query, Services
from ui.services.visit import Seen
from ui.session import Session, as_file
from ui.tabs import report_buttons
from ui.widgets.bar_list import bar_list
from ui.widgets.group_names import GROUP_CHOICES
from ui.widgets.set_links import maker_link
from ui.widgets.status import no_shares

THIS, VISIT = "this image", "all images of this visit"
COLUMNS = [
    "group",
    "share %",
    "at least %",
    "at most %",
    "works listed",
    "images in the training set",
    "lift",
]
_LEFT_OUT = (
    "What you leave out counts as if it had not been a candidate, and the others take its share. "
    "This is arithmetic, not retraining: nobody knows what a model would have learned instead."
)


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    corpus = services.collection.corpus
    makers = frozenset(corpus.column("creator"))
    sentence = gr.HTML(elem_id="credit-words")
    with gr.Row(elem_id="credit-row"):
        by = gr.Radio(
            GROUP_CHOICES,
            value=str(GroupBy.CREATOR),
            label="Add up by",
            elem_id="credit-by",
            scale=2,
            min_width=300,
        )
        over = gr.Radio(
            [THIS, VISIT], value=THIS, label="Over", elem_id="credit-over", scale=2, min_width=280
        )
        out = gr.Dropdown(
            [],
            multiselect=True,
            label="Leave out",
            info="What if these had not been there?",
            elem_id="leave-out",
            scale=3,
            min_width=280,
        )
    picture = gr.Plot(label="Shares; grey: images that are not listed", elem_id="credit-map")
    bars = gr.HTML(elem_id="credit-bars")
    table = gr.Dataframe(
        headers=COLUMNS,
        datatype=["html", *["number"] * 6],
        interactive=False,
        elem_id="credit-table",
        max_height=420,
    )
    with gr.Row():
        gr.HTML(f"<p class='status'>{_LEFT_OUT}</p>", elem_id="left-out-words")
        csv = gr.DownloadButton("CSV", elem_id="credit-csv", scale=0, min_width=90)
    report_buttons.build_ledger(services, session)
    shown = [sentence, picture, bars, table, csv]

    def draw_groups(asked: list[Attribution], by: str, left_out: list[str], over: str) -> list[Any]:
        """What is shown, and the names that can be left out."""
        results = [result for result in asked if result.has_shares]
        if not results:
            return [
                no_shares(asked[0] if asked else None),
                None,
                "",
                gr.update(value=None, visible=False),
                None,
                [],
            ]
        whole = group(results, corpus, by)
        told = whole.without(left_out)
        name_of = corpus.maker if by == GroupBy.CREATOR else str
        return [
            _sentence(told, whole, left_out, len(results), over, name_of),
            group_map(told, name_of),
            _bars(told, name_of),
            gr.update(value=_rows(told, name_of, makers), visible=True),
            as_file(told.to_csv().encode(), f"credit-by-{by}.csv"),
            [(name_of(g.name), g.name) for g in whole.groups],
        ]

    def chosen(result: Attribution | None, ledger: list[Seen], over: str) -> list[Attribution]:
        if over == VISIT:
            return [s.entry.attribution for s in ledger]
        return [] if result is None else [result]

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        *drawn, names = draw_groups(chosen(result, [], THIS), str(GroupBy.CREATOR), [], THIS)
        return [*drawn, str(GroupBy.CREATOR), THIS, gr.update(choices=names, value=[])]

    @handler
    def add_up(result: Attribution | None, ledger: list[Seen], by: str, over: str) -> list[Any]:
        *drawn, names = draw_groups(chosen(result, ledger, over), by, [], over)
        return [*drawn, gr.update(choices=names, value=[])]

    @handler
    def leave_out(
        result: Attribution | None, ledger: list[Seen], by: str, over: str, left_out: list[str]
    ) -> list[Any]:
        return draw_groups(chosen(result, ledger, over), by, left_out or [], over)[:-1]

    session.add_view([*shown, by, over, out], draw)
    asked = [session.result, session.ledger, by, over]
    gr.on([by.input, over.input], add_up, asked, [*shown, out], api_name="add_up", show_progress="hidden")
    out.input(leave_out, [*asked, out], shown, api_name="leave_out", show_progress="hidden")


def _sentence(
    groups: Groups, whole: Groups, left_out: list[str], images: int, over: str, name_of: Callable[[str], str]
) -> str:
    what = "this image" if over == THIS else f"{images} image{'s' * (images != 1)} of this visit"
    rest = rounded_percent(groups.rest)
    if not groups.groups:
        text = f"Everything that is listed is left out. All other images hold {rest}."
    else:
        first, shown = groups.groups[0], name_of(groups.groups[0].name)
        text = (
            f"{shown[0].upper()}{shown[1:]} comes first, with {rounded_percent(first.influence)} of the influence on "
            f"{what}. That is {first.lift:.1f} times its part of the training set, {rounded_percent(first.share)}."
        )
        person = next((g for g in groups.groups if name_of(g.name) == g.name and g.name != UNKNOWN), None)
        if shown != first.name and person is not None:
            text += (
                f" The strongest individual maker is {person.name}, with {rounded_percent(person.influence)}."
            )
        text += f" Images that are not listed hold {rest}."
    if left_out:
        gone = sum(g.influence for g in whole.groups if g.name in left_out)
        names = listing(name_of(name) for name in left_out)
        text += f" Left out: {names}, with {rounded_percent(gone)}."
    return f'<p class="sentence" aria-live="polite">{html.escape(text)}</p>'


def _bars(groups: Groups, name_of: Callable[[str], str]) -> str:
    shown = groups.leading()
    small = groups.groups[len(shown) :]
    more = [(f"{len(small)} more", sum(g.influence for g in small))] if small else []
    return bar_list([*((name_of(g.name), g.influence) for g in shown), *more], ("not listed", groups.rest))


def _rows(groups: Groups, name_of: Callable[[str], str], makers: frozenset[str]) -> list[list[Any]]:
    """A row for each group. makers: whose names have a page in the tab Training set."""
    has_pages = groups.by is GroupBy.CREATOR
    rows: list[list[Any]] = [
        [
            maker_link(g.name, name_of(g.name))
            if has_pages and g.name in makers
            else html.escape(name_of(g.name)),
            *(round(100 * v, 3) for v in (g.influence, g.low, g.high)),
            g.works,
            g.images,
            round(g.lift, 2),
        ]
        for g in groups.groups
    ]
    rest = [round(100 * v, 3) for v in (groups.rest, groups.rest_low, groups.rest_high)]
    return [*rows, ["not listed", *rest, None, None, None]]
