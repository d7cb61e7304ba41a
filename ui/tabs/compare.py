"""The tab Compare: two images, two methods or two collections side by side."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from attribution_core.attribution.compare import Comparison, compare
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import percent
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import InvalidInputError
from attribution_core.figures.compare import slopes
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION, VIEWS
from ui.services.app import Query, Services
from ui.services.visit import Seen
from ui.session import Session
from ui.widgets import compare_texts as texts
from ui.widgets.picture_grid import picture_grid
from ui.widgets.tiles import tiles

SHOWN, MOST = 12, 50
_SIDES = ("left", "right")


@dataclass(frozen=True, eq=False)
class Side:
    """What one side shows. services: of its collection."""

    services: Services
    query: Query
    method: str
    result: Attribution

    @property
    def name(self) -> str:
        """Its query, collection and method, in a few words."""
        title = self.query.title if len(self.query.title) <= 40 else f"{self.query.title[:39]}…"
        return f"“{title}”, {self.services.collection.name}, {self.method}"


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    opened = {name: one for name, one in zip(_names(services), (services, *services.others), strict=True)}
    own = next(iter(opened))
    methods = list(services.collection.methods)
    most = min(MOST, services.settings.top, *(len(one.collection.index) for one in opened.values()))
    headline = gr.HTML(texts.NOTHING, elem_id="compare-words")
    choices: dict[str, list[Any]] = {}
    shown: dict[str, list[Any]] = {}
    with gr.Row():
        for side, method in zip(_SIDES, (methods[0], methods[min(1, len(methods) - 1)]), strict=True):
            with gr.Column(min_width=290):
                choices[side] = [
                    gr.Dropdown(
                        _queries(services, []),
                        value=texts.NOW,
                        label=texts.IMAGE.format(side),
                        elem_id=f"{side}-query",
                    ),
                    gr.Dropdown(
                        list(opened),
                        value=own,
                        label=texts.COLLECTION,
                        elem_id=f"{side}-collection",
                        visible=len(opened) > 1,
                    ),
                    gr.Dropdown(methods, value=method, label=texts.METHOD, elem_id=f"{side}-compare-method"),
                ]
    top = gr.Slider(1, most, min(SHOWN, most), step=1, label=texts.TOP, elem_id="compare-top")
    figures = gr.HTML(elem_id="compare-tiles")
    with gr.Row():
        for side in _SIDES:
            with gr.Column(min_width=290):
                shown[side] = [
                    gr.HTML(elem_id=f"{side}-compare-words"),
                    picture_grid(
                        label=texts.GALLERY.format(side),
                        columns=4,
                        elem_id=f"{side}-compare-gallery",
                        elem_classes="known",
                    ),
                ]
    plot = gr.Plot(label=texts.PLOT, elem_id="slopes")

    def side_of(
        key: str, collection: str, method: str, query: Query | None, seen: Sequence[Seen]
    ) -> Side | None:
        one = opened[collection]
        chosen = _query(services, key, query, seen)
        if chosen is None:
            return None
        name = method if method in one.collection.methods else one.collection.method
        # What the visitor says of an image is about the models of this collection, and not of another.
        chosen = chosen if one is services else replace(chosen, said_so=False)
        return Side(one, chosen, name, one.attribute(chosen, name))

    @handler
    def compare_sides(
        query: Query | None,
        seen: list[Seen] | None,
        top: float,
        left_key: str,
        left_collection: str,
        left_method: str,
        right_key: str,
        right_collection: str,
        right_method: str,
    ) -> list[Any]:
        left = side_of(left_key, left_collection, left_method, query, seen or [])
        right = side_of(right_key, right_collection, right_method, query, seen or [])
        if left is None or right is None:
            return [texts.NOTHING, "", *["", None] * 2, None]
        comparison = _compared(left, right, int(top))
        drawn = [part for side, which in ((left, 0), (right, 1)) for part in _drawn(comparison, side, which)]
        return [
            _words(comparison, left, right),
            _tiles(comparison),
            *drawn,
            slopes(comparison, "left", "right"),
        ]

    @handler
    def methods_of(collection: str) -> Any:
        known = list(opened[collection].collection.methods)
        return gr.update(choices=known, value=known[0])

    quiet: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}
    asked = [session.query, session.ledger, top, *choices["left"], *choices["right"]]
    outputs = [headline, figures, *shown["left"], *shown["right"], plot]
    session.add_visit_view(
        [choices[side][0] for side in _SIDES], lambda seen: [gr.update(choices=_queries(services, seen))] * 2
    )
    for side in _SIDES:
        _, collection, method = choices[side]
        collection.input(methods_of, collection, method, api_name=f"methods_of_{side}", **quiet).then(
            compare_sides, asked, outputs, api_name=f"compare_{side}", **quiet, **ATTRIBUTION
        )
    changed = [component.input for side in _SIDES for component in (choices[side][0], choices[side][2])]
    session.follow_return(compare_sides, asked, outputs, api_name="compare_returned", **quiet, **VIEWS)
    session.on_open(
        compare_sides,
        asked,
        outputs,
        api_name="compare_opened",
        api_visibility="undocumented",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    gr.on(
        [top.release, *changed],
        compare_sides,
        asked,
        outputs,
        api_name="compare",
        trigger_mode="always_last",
        show_progress="minimal",
        **ATTRIBUTION,
    )


def _names(services: Services) -> list[str]:
    """Names of the opened collections; those that have the same are told apart by their folders."""
    every = [services, *services.others]
    names = [one.collection.name for one in every]
    told = [
        name if names.count(name) == 1 else f"{name} ({one.collection.path.name})"
        for name, one in zip(names, every, strict=True)
    ]
    return [name if told.count(name) == 1 else f"{name}, {k}" for k, name in enumerate(told, 1)]


def _queries(services: Services, seen: Sequence[Seen]) -> list[tuple[str, str]]:
    visit = [(f"{s.number}: {s.entry.title}", f"visit {s.number}") for s in reversed(seen)]
    examples = [(f"example: {query.title}", f"example {k}") for k, query in enumerate(services.examples, 1)]
    return [(texts.NOW, texts.NOW), *visit, *examples]


def _query(services: Services, key: str, now: Query | None, seen: Sequence[Seen]) -> Query | None:
    kind, _, number = key.partition(" ")
    if kind == "visit":
        found = next((s for s in seen if str(s.number) == number), None)
        if found is None or found.query is None:
            raise InvalidInputError(texts.GONE)
        return found.query
    if kind == "example":
        return services.examples[int(number) - 1]
    return now


def _compared(left: Side, right: Side, top: int) -> Comparison:
    if left.services is right.services:
        return compare(left.result, right.result, top)
    keys = [
        [_key(side.services.collection.corpus, int(i)) for i in side.result.ids[:top]]
        for side in (left, right)
    ]
    return compare(left.result, right.result, top, left_keys=keys[0], right_keys=keys[1])


def _key(corpus: Corpus, position: int) -> str:
    """By what an image is known in two collections: its file, and without it its link or name."""
    if corpus.has_image(position):
        return hashlib.sha256(corpus.image_bytes(position)).hexdigest()
    credit = corpus.credit(position)
    return credit.link or credit.id


def _words(comparison: Comparison, left: Side, right: Side) -> str:
    count, shared = comparison.top, len(comparison.shared)
    both = left.result.has_shares and right.result.has_shares
    measure = "shares" if both else "similarities"
    if comparison.identical:
        head = (
            "Identical"
            if count == 1
            else f"Identical: the same {count} images in the same order, with equal {measure}"
        )
    elif count == 1:
        head = "The first image is the same on both sides" if shared else "The first images differ"
    else:
        head = f"{shared or 'None'} of the first {count} images {'are' if shared > 1 else 'is'} on both sides"
    text = ""
    if not comparison.same_collection:
        text = texts.TWO_COLLECTIONS
    elif left.method != right.method:
        text = texts.TWO_METHODS.format(measure)
    elif left.query != right.query:
        text = texts.ONE_METHOD.format(measure)
    kind = "" if comparison.identical or shared else " spread"
    return f'<div class="headline{kind}" role="status"><h2>{head}</h2><p>{text}</p></div>'


def _tiles(comparison: Comparison) -> str:
    chance = (
        ""
        if comparison.by_chance is None
        else f"two random lists would share {comparison.by_chance:.2g} on average"
    )
    order = comparison.rank_agreement
    first = any(s.left == s.right == 1 for s in comparison.shared)
    return tiles(
        [
            (
                "On both sides",
                f"{len(comparison.shared)} of {comparison.top}",
                chance or texts.BY_FILES,
            ),
            (
                "Overlap",
                f"{comparison.jaccard:.0%}",
                texts.OVERLAP,
            ),
            (
                "Same order",
                "too few" if order is None else f"{order:+.2f}",
                texts.ORDER,
            ),
            (
                "First place",
                "the same image" if first else "different images",
                " and ".join(
                    f"{_value(r, 0)} on the {side}"
                    for r, side in zip((comparison.left, comparison.right), _SIDES, strict=True)
                ),
            ),
        ]
    )


def _drawn(comparison: Comparison, side: Side, which: int) -> list[Any]:
    """Words and gallery of one side; what is on both is framed."""
    name, head = _SIDES[which], side.result.head(comparison.top)
    both = [(s.left, s.right)[which] for s in comparison.shared]
    frames = " ".join(
        f"#{name}-compare-gallery .grid-container > :nth-child({k}) {{ --frame: 4px; "
        "--known: var(--primary-600); }"
        for k in both
    )
    images = [
        (
            str(side.services.training_image(int(i))),
            f"{_value(head, k)} · {head.credits[k].description}",
        )
        for k, i in enumerate(head.ids)
    ]
    shares = (
        f"These hold {percent(1 - head.rest)} of the influence, the {head.n_training - len(head):,} others "
        f"{percent(head.rest)}"
    )
    what = f"{shares}." if head.has_shares else texts.NO_SHARES
    words = f"<p class='status'><b>{html.escape(side.name)}</b><br>{what} {texts.FRAMED}</p><style>{frames}</style>"
    return [words, gr.update(value=images, selected_index=None)]


def _value(result: Attribution, k: int) -> str:
    """The share of a listed image, from 0, or its similarity where the image has no shares."""
    if result.has_shares:
        return percent(float(result.influence[k]))
    return f"{result.similarity[k]:.2f}"
