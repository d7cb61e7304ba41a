"""Part of the tab Evidence: one benchmark image, and where two methods put the exemplar that is known."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from attribution_core.add_one_in.cases import ManifestEntry
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import rounded_percent
from attribution_core.evidence.benchmark import Evidence
from attribution_core.figures.evidence import PRETRAINED
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION
from ui.services.app import Services
from ui.session import Session, checked_place, place
from ui.widgets.picture_grid import picture_grid

SHOWN = 8
_SIDES = ("first", "second")


def build(services: Services, session: Session, evidence: Evidence, case_name: Callable[[str], str]) -> None:
    """Draw it and wire it; nothing where the benchmark's images do not ship."""
    cases = [name for name in evidence.cases if evidence.models(name)]
    if not cases:
        return
    names = [m.name for m in evidence.methods]
    own = evidence.method(evidence.stored["own"])
    # Nothing learned beside what was learned: the same encoder where it is a method as it is, else another.
    pretrained = sorted(
        (m for m in evidence.methods if m.mapper == PRETRAINED), key=lambda m: m.encoder != own.encoder
    )
    plain = pretrained[0].name if pretrained else own.name
    first = evidence.models(cases[0])
    gallery: dict[str, Any] = {"columns": 4, "elem_classes": "known"}
    gr.HTML(
        "<h2>One image whose source is known, by two methods</h2><p class='status'>The drawing that the model was "
        "tuned on, the exemplar, is framed in red.</p>",
        elem_classes="caption",
    )
    with gr.Row():
        case = gr.Dropdown(
            [(case_name(name), name) for name in cases],
            value=cases[0],
            label="Test models",
            elem_id="query-case",
            scale=2,
            min_width=240,
        )
        model = gr.Dropdown(
            _names(first),
            value=0,
            label="Model (named after what it was tuned on)",
            elem_id="query-model",
            scale=2,
            min_width=240,
        )
    with gr.Row():
        with gr.Column(scale=2, min_width=260):
            gr.HTML("<h3>The model was tuned on</h3>", elem_classes="caption")
            tuned_on = picture_grid(_exemplars(evidence, first[0]), elem_id="tuned-on", **gallery)
            gr.HTML("<h3>It drew these; choose one</h3>", elem_classes="caption")
            made = picture_grid(_made(evidence, first[0]), selected_index=0, elem_id="query-made", **gallery)
            prompt = gr.HTML(elem_id="query-prompt")
        with gr.Column(scale=3, min_width=300):
            methods, sides = [], []
            for side, name in zip(_SIDES, (plain, own.name), strict=True):
                methods.append(
                    gr.Dropdown(
                        names, value=name, label=f"{side.capitalize()} method", elem_id=f"{side}-method"
                    )
                )
                sides.append(gr.HTML(elem_id=f"{side}-words"))
                sides.append(picture_grid(elem_id=f"{side}-gallery", **gallery))
    number = gr.Number(1, precision=0, visible=False)  # which image; in the browser the click says it

    def entry(case: str, model: int) -> ManifestEntry:
        models = evidence.models(case)
        return models[checked_place(model + 1, len(models)) - 1]

    @handler
    def show_case(case: str) -> Any:
        return gr.update(choices=_names(evidence.models(case)), value=0)

    @handler
    def show_model(case: str, model: int) -> list[Any]:
        chosen = entry(case, model)
        return [_exemplars(evidence, chosen), gr.update(value=_made(evidence, chosen), selected_index=0), 1]

    @handler
    def choose_made(case: str, model: int, number: float, event: gr.EventData) -> int:
        return place(number, event, len(_paths(entry(case, model))))

    @handler
    def show_query(case: str, model: int, first: str, second: str, number: float) -> list[Any]:
        chosen = entry(case, model)
        k = checked_place(number, len(_paths(chosen))) - 1
        drawn: list[Any] = [f"<p class='status'>Its prompt: “{html.escape(_prompts(chosen)[k])}”</p>"]
        for side, method in zip(_SIDES, (first, second), strict=True):
            result = services.attribute_known(_paths(chosen)[k], chosen, method, SHOWN)
            drawn += _side(services, evidence, chosen, result, method, side)
        return drawn

    quiet: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}
    shown, asked = [tuned_on, made, number], [case, model, *methods, number]
    other_case = case.input(show_case, case, model, api_name="show_case", **quiet)
    for name, event in (
        ("case", other_case.then(show_model, [case, model], shown, api_name="show_model_of_case", **quiet)),
        ("model", model.input(show_model, [case, model], shown, api_name="show_model", **quiet)),
        ("made", made.select(choose_made, [case, model, number], number, api_name="choose_made", **quiet)),
    ):
        event.success(
            show_query, asked, [prompt, *sides], api_name=f"show_query_{name}", **quiet, **ATTRIBUTION
        )
    gr.on(
        [m.input for m in methods],
        show_query,
        asked,
        [prompt, *sides],
        api_name="show_query",
        **quiet,
        **ATTRIBUTION,
    )
    session.on_open(
        show_query,
        asked,
        [prompt, *sides],
        api_name="show_query_opened",
        **quiet,
        **ATTRIBUTION,
    )


def _names(models: Sequence[ManifestEntry]) -> list[tuple[str, int]]:
    def name(model: ManifestEntry) -> str:
        count = len(model.exemplars)
        return model.category if count == 1 else f"{model.class_id} ({count} exemplars)"

    return [(f"{k}: {name(model)}", k - 1) for k, model in enumerate(models, 1)]


def _paths(model: ManifestEntry) -> list[str]:
    return [path for paths in model.made.values() for path in paths]


def _prompts(model: ManifestEntry) -> list[str]:
    """The prompt of each made image; "" where the manifest does not say."""
    known = model.more.get("prompts", {})
    return [prompt for kind, paths in model.made.items() for prompt in known.get(kind, [""] * len(paths))]


def _made(evidence: Evidence, model: ManifestEntry) -> list[Any]:
    return [
        (evidence.images[path], prompt) for path, prompt in zip(_paths(model), _prompts(model), strict=True)
    ]


def _exemplars(evidence: Evidence, model: ManifestEntry) -> list[tuple[Any, str]]:
    return [
        (
            added.image,
            ", ".join(filter(None, (added.credit.description, added.credit.licence))),
        )
        for added in evidence.exemplars(model)
    ]


def _side(
    services: Services, evidence: Evidence, model: ManifestEntry, result: Attribution, method: str, side: str
) -> list[Any]:
    """Words and gallery of one method: the strongest candidates, and the strongest exemplar wherever it stands."""
    count, exemplars = len(services.collection.index), evidence.exemplars(model)
    own = [k for k, i in enumerate(result.ids) if i >= count]
    listed = [*range(min(SHOWN, len(result))), *(k for k in own[:1] if k >= SHOWN)]
    images = [
        exemplars[int(result.ids[k]) - count].image
        if k in own
        else str(services.training_image(int(result.ids[k])))
        for k in listed
    ]
    captions = [
        f"{result.rank[k]:,} · {rounded_percent(float(result.influence[k]))} · {result.credits[k].description}"
        for k in listed
    ]
    frames = " ".join(
        f"#{side}-gallery .grid-container > :nth-child({place}) {{ --frame: 5px; --known: #d0282e; }}"
        for place, k in enumerate(listed, 1)
        if k in own
    )
    which = "the exemplar" if len(own) == 1 else "the first exemplar"
    share = rounded_percent(float(result.influence[own].sum()))
    words = (
        f"<p class='status'><b>{html.escape(method)}</b>: {which} is number {result.rank[own[0]]:,} of "
        f"{result.n_training:,}. {'It has' if len(own) == 1 else f'All {len(own)} together have'} {share} of the "
        f"influence.</p><style>{frames}</style>"
    )
    return [words, gr.update(value=list(zip(images, captions, strict=True)), selected_index=None)]
