"""The tab Second opinion: the list of an attribution beside what the generator forgets together with the image."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from attribution_core.analyses.unlearning.second_opinion import CANDIDATES, OTHERS, SecondOpinion
from attribution_core.attribution.result import Attribution
from attribution_core.common.estimates import Estimate
from attribution_core.common.progress import Progress
from attribution_core.common.text import percent_range
from attribution_core.evidence.second_opinion import SecondOpinionEvidence
from attribution_core.figures.second_opinion import rank_scatter
from ui.handler import handler
from ui.server.lanes import generation
from ui.services.app import Query, Services
from ui.services.judged import Judged, keep
from ui.services.second_opinion import SecondOpinionServices
from ui.session import KEEP_S, Session
from ui.widgets.in_line import line
from ui.widgets.joined import joined_boxes
from ui.widgets.picture_grid import picture_grid
from ui.widgets.status import SAY_WAITING, progress_bar, say_no_more, status_line
from ui.widgets.tiles import tiles

SHOWN, TOP = 8, 10
COLUMNS = [
    "rank by similarity",
    "rank by unlearning",
    "similarity",
    "loss rose by",
    "from",
    "caption",
    "maker",
    "id",
]
_WHAT = (
    "By image compares pictures: which training images look like this one? Unlearning asks the generator itself. "
    "A few training steps in reverse make it forget this image a little. The training images that it then draws worse "
    "are probably the ones that it learned this image from. Afterwards the generator is exactly as before."
)
_KINDS = {
    "planted": "images of prompts that were repeated many times in training",
    "tuned": "images by models that were tuned on one drawing",
}


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    opinions = SecondOpinionServices(services)
    gr.HTML(
        f'<div class="headline spread"><h2>A second opinion</h2><p>{_WHAT}</p></div>', elem_id="opinion-what"
    )
    start = gr.Button("Ask for a second opinion", variant="primary", elem_id="ask-opinion")
    with gr.Row(elem_classes="stoppable"):
        status = line("opinion-status")
        stop = gr.Button("Stop", elem_id="stop-opinion", scale=0, min_width=90)
    with gr.Column(visible=False, elem_id="opinion") as box:
        words = gr.HTML(elem_id="opinion-words")
        figures = gr.HTML(elem_id="opinion-tiles")
        with gr.Row():
            galleries = []
            for name, label in (("similarity", "First by similarity"), ("unlearning", "First by unlearning")):
                with gr.Column(min_width=290):
                    gr.HTML(
                        f"<h3>{label} (in brackets: rank by the other method)</h3>",
                        elem_classes="caption",
                    )
                    galleries.append(
                        picture_grid(
                            label=label,
                            columns=4,
                            elem_id=f"opinion-{name}",
                            elem_classes="known",
                        )
                    )
        plot = gr.Plot(
            label="Rank by similarity and by unlearning; on the line, both agree", elem_id="opinion-map"
        )
        with gr.Accordion("The same as a table", open=False, elem_id="opinion-table-fold"):
            table = gr.Dataframe(
                headers=COLUMNS,
                datatype=["number"] * 4 + ["str"] * 4,
                interactive=False,
                elem_id="opinion-table",
                max_height=480,
                show_search="filter",
            )
    with gr.Accordion("How do we know?", open=False, elem_id="opinion-know"):
        gr.HTML(_measured(opinions.measured, opinions.same_generator), elem_id="opinion-measured")
    shown = [box, words, figures, *galleries, plot, table]
    nothing = [gr.update(visible=False), "", "", None, None, None, None]
    given = gr.State(None, time_to_live=KEEP_S)

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        why = opinions.hindrance(query)
        return [status_line(why or _ready(query)), gr.update(interactive=not why), *nothing]

    @handler
    def ask_opinion(query: Query | None, method: str) -> Iterator[list[Any]]:
        skipped = [gr.skip()] * len(shown)
        yield [status_line("Choosing the images to compare ...", waiting=True), *nothing, None]
        for event in opinions.ask(query, method):
            if isinstance(event, Progress):
                yield [progress_bar(event), *skipped, gr.skip()]
            elif query is not None:
                yield [
                    status_line(f"Done, for “{query.title}”. The generator is as it was."),
                    *_drawn(event, services),
                    Judged(query.key, opinion=event),
                ]

    @handler
    def keep_opinion(
        given: Judged | None, query: Query | None, result: Attribution | None, judged: list[Judged] | None
    ) -> list[Any]:
        """Join it to what is known of its image by now, which need not be the one in sight."""
        if given is not None:
            before = next((one for one in judged or () if one.key == given.key), given)
            judged = keep(judged, replace(before, opinion=given.opinion))
        return [judged, *joined_boxes(query, result, judged)]

    session.add_view([status, start, *shown], draw)
    start.click(None, None, status, js=SAY_WAITING, queue=False, show_progress="hidden")
    # "once" would drop a click that comes while a stopped one is still being put away.
    asking = start.click(
        ask_opinion,
        [session.query, session.method],
        [status, *shown, given],
        api_name="second_opinion",
        trigger_mode="multiple",
        time_limit=services.settings.learning_seconds,
        **generation(status),
    )
    asking.failure(None, status, status, js=say_no_more(), queue=False, show_progress="hidden")
    asking.success(
        keep_opinion,
        [given, session.query, session.result, session.judged],
        [session.judged, *session.verdict_boxes],
        api_name="keep_opinion",
        api_visibility="undocumented",
        show_progress="hidden",
    )
    stop.click(None, cancels=[asking], queue=False).then(
        lambda: status_line("Stopped. The generator is as it was."),
        None,
        status,
        api_name="stop_opinion",
        queue=False,
        api_visibility="undocumented",
    )


def _ready(query: Query | None) -> str:
    title = "" if query is None else f" for “{query.title}”"
    return (
        f"Judges the first {CANDIDATES} images of the list{title} and {OTHERS} training images drawn at random. "
        "With a small generator this takes up to a minute. Nobody can generate in the meantime."
    )


def _drawn(opinion: SecondOpinion, services: Services) -> list[Any]:
    pictures = []
    for by_unlearning in (False, True):
        places = (opinion.rank_similarity, opinion.rank_unlearning)
        own, other = places[::-1] if by_unlearning else places
        pictures.append(
            [
                (
                    str(services.training_image(int(opinion.ids[k]))),
                    f"{own[k]} ({other[k]}) · {opinion.credits[k].description}",
                )
                for k in opinion.order(by_unlearning)[:SHOWN]
            ]
        )
    return [
        gr.update(visible=True),
        _headline(opinion),
        _tiles(opinion),
        *(gr.update(value=p, selected_index=None) for p in pictures),
        rank_scatter(opinion, TOP),
        _rows(opinion),
    ]


def _name(opinion: SecondOpinion, k: int) -> str:
    return f"“{opinion.credits[k].title}”"


def _headline(opinion: SecondOpinion) -> str:
    if not opinion.losses.took:
        return (
            '<div class="headline spread" role="status"><h2>The generator did not forget the image</h2><p>Its '
            "loss on this image did not rise, so changes to other images tell us nothing.</p></div>"
        )
    a, b = int(opinion.order(False)[0]), int(opinion.order(True)[0])
    shared = opinion.shared(TOP)
    if a == b:
        head = f"Both put {_name(opinion, a)} first"
    else:
        head = "The methods disagree about the strongest image"
    text = (
        ""
        if a == b
        else (
            f"Similarity puts {_name(opinion, a)} first; it is number {opinion.rank_unlearning[a]} by unlearning. "
            f"Unlearning puts {_name(opinion, b)} first; it is number {opinion.rank_similarity[b]} of {len(opinion)} "
            "by similarity. "
        )
    )
    text += f"They share {shared} of their first {TOP} images. "
    apart = [k for k in opinion.apart(TOP) if k not in (a, b)][:3]
    if apart:
        text += (
            "They differ most on: "
            + "; ".join(
                f"{_name(opinion, k)} ({opinion.rank_similarity[k]} by similarity, "
                f"{opinion.rank_unlearning[k]} by unlearning)"
                for k in apart
            )
            + ". "
        )
    if a != b or shared < TOP // 2:
        text += "Where two methods disagree, trust neither alone."
    kind = "" if a == b else " spread"
    return f'<div class="headline{kind}" role="status"><h2>{html.escape(head)}</h2><p>{html.escape(text)}</p></div>'


def _tiles(opinion: SecondOpinion) -> str:
    every, listed, above = opinion.agreement(), None, opinion.above_random()
    if opinion.listed.sum() >= 4:
        listed = opinion.agreement(listed_only=True)
    shown = [
        (
            "Agreement of the two lists",
            agreement_words(every),
            f"Spearman's correlation {_figure(every)}, over all {len(opinion)}",
        )
    ]
    if listed is not None:
        shown.append(("Listed images alone", agreement_words(listed), f"correlation {_figure(listed)}"))
    if above is not None:
        shown.append(
            (
                "Listed above random",
                f"{above.value:.0%}",
                f"of pairs, by unlearning; 50% by chance; 95% interval {percent_range(above.low, above.high)}",
            )
        )
    shown.append(
        (
            "Loss on the image",
            f"{opinion.losses.query_before:.3f} → {opinion.losses.query_after:.3f}",
            "before and after forgetting",
        )
    )
    return tiles(shown)


def agreement_words(agreement: Estimate) -> str:
    """A correlation for people."""
    if agreement.low <= 0 <= agreement.high:
        return "no clear agreement"
    if agreement.value < 0:
        return "rather the reverse"
    return next(
        words
        for least, words in ((0.7, "largely agree"), (0.4, "agree in part"), (0.0, "agree a little"))
        if agreement.value >= least
    )


def _figure(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} (95% interval {estimate.low:.2f} to {estimate.high:.2f})"


def _rows(opinion: SecondOpinion) -> list[list[Any]]:
    return [
        [
            int(opinion.rank_similarity[k]),
            int(opinion.rank_unlearning[k]),
            round(float(opinion.similarity[k]), 4),
            round(float(opinion.change[k]), 5),
            "the list" if opinion.listed[k] else "drawn at random",
            opinion.credits[k].caption,
            opinion.credits[k].maker,
            opinion.credits[k].id,
        ]
        for k in opinion.order(True)
    ]


def _measured(evidence: SecondOpinionEvidence | None, same_generator: bool) -> str:
    head = (
        "<p>The loss is how badly the generator guesses the noise that was added to an image. All images get the same "
        "noise and timesteps before and after, so a change comes from the forgetting alone. The intervals above come "
        "from a bootstrap over the images. Forgetting also acts through the prompt: images with similar captions are "
        "forgotten together, whether or not they look alike. Like similarity, this is an estimate and no proof of "
        "cause. It follows Wang, Hertzmann, Efros, Zhu and Zhang (NeurIPS 2024), with plain gradient ascent.</p>"
    )
    if evidence is None:
        return head + "<p>How often this finds the right image was not measured for this collection.</p>"
    rows = "".join(
        f"<tr><th scope='row'>{_KINDS[k.kind]} ({k.images})</th><td>{_interval(k.similarity)}</td>"
        f"<td>{_interval(k.unlearning)}</td><td>{_interval(k.decoy)}</td></tr>"
        for k in evidence.known
    )
    other = "" if same_generator else " on an earlier generator"
    return head + (
        f"<p>How often does each method put the right image first of about {CANDIDATES + OTHERS}? Similarity is that "
        f"of {html.escape(evidence.method)}. A decoy is a drawing that no model was trained on, with the caption of "
        "the right image. If the decoy is forgotten as much, the words did it and not the picture. Intervals are 95%. "
        f"Measured {html.escape(evidence.date)}{other}.</p>"
        "<div class='scrolled' tabindex='0' role='region' aria-label='How often the right image is first'>"
        "<table class='plain'><thead><tr><th scope='col'>images</th><th scope='col'>first by similarity</th>"
        "<th scope='col'>first by unlearning</th><th scope='col'>forgotten more than its decoy</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.0%} ({percent_range(estimate.low, estimate.high)})"
