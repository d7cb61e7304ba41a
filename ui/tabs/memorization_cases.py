"""Part of the tab Memorization: known cases, one click from prompt to verdict, and many seeds of one prompt."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from attribution_core.analyses.memorization.verdict import returned
from attribution_core.attribution.result import Attribution
from attribution_core.generation.generator import StepPreview
from attribution_core.reports.wording.verdict import returned_sentence, verdict_how
from ui.handler import handler
from ui.server.lanes import generation
from ui.services.app import MAX_PROMPT, Query, Services
from ui.services.memorization import MOST_SEEDS, MemorizationServices, Tried
from ui.session import KEEP_S, Session, checked_place, place
from ui.widgets import memorization_texts as texts
from ui.widgets.in_line import line
from ui.widgets.picture_grid import picture_grid
from ui.widgets.recipe_fields import filled_in
from ui.widgets.status import status_line

_LABELS = {"planted": texts.PLANTED, "control": texts.CONTROLS}
_SEED = 1
_TO_THE_VERDICT = """() =>
  document.getElementById('memorization-words').scrollIntoView({behavior: 'smooth', block: 'start'})"""


def build(services: Services, session: Session, own: MemorizationServices) -> None:
    """Draw the cases and wire them; nothing where there is no generator."""
    if services.generator is None:
        gr.HTML(f"<p class='status'>{texts.NO_GENERATOR}</p>")
        return

    def make(prompt: str, seed: int) -> Iterator[list[Any]]:
        for event in own.make(prompt, seed):
            if isinstance(event, StepPreview):
                yield [status_line(f"“{prompt}”: step {event.step} of {event.total}"), None, *[gr.skip()] * 4]
            else:
                words = f"Drawn: “{prompt}”, seed {seed}. Its verdict follows."
                yield [
                    status_line(words),
                    event,
                    *(filled_in(event.recipe) if event.recipe else [gr.skip()] * 4),
                ]

    if own.cases:
        gr.HTML(
            f"<h3>{texts.CASES}</h3>",
            elem_classes="caption",
        )
        labels = [(_LABELS[kind], kind) for kind in own.cases]
        kind = gr.Radio(labels, value=labels[0][1], label="Cases", elem_id="case-kind")
        gallery = picture_grid(
            _pictures(own, labels[0][1]),
            columns=10,
            elem_id="case-gallery",
            elem_classes="known",
        )
        status = line("case-status")
        number = gr.Number(1, precision=0, visible=False)  # which case; in the browser the click says it

        @handler
        def show_cases(kind: str) -> Any:
            return gr.update(value=_pictures(own, _checked(own, kind)), selected_index=None)

        @handler
        def make_case(kind: str, number: float, event: gr.EventData) -> Iterator[list[Any]]:
            cases = own.cases[_checked(own, kind)]
            yield from make(cases[place(number, event, len(cases)) - 1].prompt, _SEED)

        kind.input(
            show_cases,
            kind,
            gallery,
            api_name="show_cases",
            api_visibility="undocumented",
            show_progress="hidden",
        )
        made = gallery.select(
            make_case,
            [kind, number],
            [status, session.made, *session.fields],
            api_name="make_case",
            **generation(status),
        )
        session.attribute_after(made)
        made.success(None, js=_TO_THE_VERDICT)
    if own.documented:
        gr.HTML(
            f"<h3>{texts.DOCUMENTED}</h3>",
            elem_classes="caption",
        )
        gr.Dataframe(
            [[p.kind, p.prompt, p.source] for p in own.documented],
            interactive=False,
            headers=texts.DOCUMENTED_COLUMNS,
            elem_id="documented",
            wrap=True,
        )
        with gr.Row():
            which = gr.Dropdown(
                [(p.prompt, k) for k, p in enumerate(own.documented, 1)],
                value=1,
                label="Prompt",
                elem_id="documented-prompt",
                scale=4,
            )
            ask = gr.Button(texts.MAKE_DOCUMENTED, elem_id="make-documented", scale=1)
        told = line("documented-status")

        @handler
        def make_documented(which: float) -> Iterator[list[Any]]:
            yield from make(own.documented[checked_place(which, len(own.documented)) - 1].prompt, _SEED)

        made = ask.click(
            make_documented,
            which,
            [told, session.made, *session.fields],
            api_name="make_documented",
            **generation(told),
        )
        session.attribute_after(made)
        made.success(None, js=_TO_THE_VERDICT)


def build_seeds(session: Session, own: MemorizationServices) -> None:
    """Draw many seeds of one prompt and wire them."""
    gr.HTML(f"<h3>{texts.SEEDS}</h3>", elem_classes="caption")
    with gr.Row(elem_id="seeds-row"):
        prompt = gr.Textbox(
            label="Prompt", elem_id="seeds-prompt", max_length=MAX_PROMPT, scale=4, min_width=240
        )
        count = gr.Slider(
            1, MOST_SEEDS, 8, step=1, label="Seeds", elem_id="seeds-count", scale=2, min_width=180
        )
        start = gr.Button(texts.TRY_SEEDS, variant="primary", elem_id="try-seeds", scale=1, min_width=110)
        stop = gr.Button(texts.STOP, elem_id="stop-seeds", scale=0, min_width=80)
    words = line("seeds-words")
    strip = picture_grid(
        visible=False,
        columns=8,
        format="png",
        elem_id="seeds-strip",
        elem_classes="known",
    )
    tried = gr.State([], time_to_live=KEEP_S)
    number = gr.Number(1, precision=0, visible=False)  # which image; in the browser the click says it

    @handler
    def try_seeds(prompt: str, count: float) -> Iterator[list[Any]]:
        found: list[Tried] = []
        asked = own.try_seeds(prompt, count)
        yield [status_line(f"Seed 1 of {count:g} ..."), gr.update(value=None, visible=False), []]
        for one in asked:
            found = [*found, one]
            yield [_summary(own, found, int(count)), _strip(found), found]

    @handler
    def stopped(found: list[Tried] | None) -> str:
        return _summary(own, found, len(found), f"{texts.STOPPED} ") if found else status_line(texts.STOPPED)

    @handler
    def choose_seed(tried: list[Tried] | None, number: float, event: gr.EventData) -> list[Any]:
        chosen = (tried or [])[place(number, event, len(tried or [])) - 1].query
        return [chosen, *(filled_in(chosen.recipe) if chosen.recipe else [gr.skip()] * 4)]

    def suggest(query: Query | None, result: Attribution | None) -> list[Any]:
        return [gr.skip() if query is None or query.recipe is None else query.recipe.prompt[:MAX_PROMPT]]

    session.add_view([prompt], suggest)
    # "once" would drop a click that comes while stopped work is still being put away.
    running = gr.on(
        [start.click, prompt.submit],
        try_seeds,
        [prompt, count],
        [words, strip, tried],
        api_name="try_seeds",
        trigger_mode="multiple",
        **generation(words),
    )
    stop.click(None, cancels=[running], queue=False).then(
        stopped,
        tried,
        words,
        api_name="stop_seeds",
        api_visibility="undocumented",
        queue=False,
    )
    chosen = strip.select(
        choose_seed,
        [tried, number],
        [session.made, *session.fields],
        api_name="choose_seed",
        api_visibility="undocumented",
        show_progress="hidden",
    )
    session.attribute_after(chosen)
    chosen.success(None, js=_TO_THE_VERDICT)


def _checked(own: MemorizationServices, kind: Any) -> str:
    """A kind of cases. Raises what `checked_place` raises for another."""
    known = list(own.cases)
    return known[checked_place(known.index(kind) + 1 if kind in known else 0, len(known)) - 1]


def _pictures(own: MemorizationServices, kind: str) -> list[tuple[str, str]]:
    return [(str(own.services.training_image(case.position)), case.prompt) for case in own.cases[kind]]


def _strip(tries: list[Tried]) -> Any:
    pictures = [
        (
            one.query.image,
            f"{'copy ' if one.verdict.is_copy else ''}{one.verdict.similarity[0]:.3f} · {one.query.title}, seed {seed}",
        )
        for seed, one in enumerate(tries, 1)
    ]
    return gr.update(value=pictures, visible=True, selected_index=None)


def _summary(own: MemorizationServices, tries: list[Tried], count: int, before: str = "") -> str:
    result = returned([one.verdict for one in tries])
    pulls = [one.query.noise_signal.mean for one in tries if one.query.noise_signal]
    more = (
        f" The prompt pulled with a noise signal of {sum(pulls) / len(pulls):.2f} on average."
        if pulls
        else ""
    )
    going = f" Seed {len(tries) + 1} of {count} ..." if len(tries) < count else ""
    bars = "".join(
        f'<i class="{"copy" if one.verdict.is_copy and one.verdict.ids[0] == result.position else ""}"></i>'
        for one in tries
    )
    return (
        f'<p class="sentence" role="status">{html.escape(before + returned_sentence(result) + more + going)}</p>'
        f'<div class="seed-bars" aria-hidden="true">{bars}</div><p class="status"><b>{texts.HOW}</b> '
        f"{html.escape(verdict_how(tries[0].verdict))}</p>"
    )
