"""The tab Generate: a prompt becomes an image step by step, or an image is brought along."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from attribution_core.analyses.memorization.less_like import less_like
from attribution_core.attribution.result import Attribution
from attribution_core.errors import InvalidInputError
from attribution_core.generation.generator import BLACKED_OUT, StepPreview
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.meaning import CAVEAT
from attribution_core.reports.wording.credentials import SAYS
from attribution_core.reports.wording.headline import headline, similarity_headline
from attribution_core.reports.wording.noise_signal import RECITES, RECITES_SO_FAR
from attribution_core.reports.wording.origin import ORIGIN
from ui.handler import handler
from ui.server.lanes import generation
from ui.services.app import MAX_PROMPT, Query, Services
from ui.services.link import OTHER_GENERATOR, Link, repeats, write_link
from ui.session import Session, as_file, image_file, place
from ui.tabs import batch, report_buttons
from ui.widgets.address import KEEP_RESULT
from ui.widgets.credentials_html import credentials_html
from ui.widgets.in_line import line
from ui.widgets.picture_grid import picture_grid
from ui.widgets.recipe_fields import GUIDANCE, SEEDS, STEPS, filled_in, whole_number, widened
from ui.widgets.reveal import reveal, similar
from ui.widgets.status import status_line
from ui.widgets.under_way import begins

_WAITING = '<p class="status waiting">The image comes first, then whose work is in it.</p>'
_OPENING = "Opening the image ..."
_OPENING_SOURCES = status_line(
    "First the image, then whose work is in it: the four strongest sources, with shares, makers and licences."
)
_BROKE_OFF = "The drawing broke off. The image is unfinished."
_NOT_TAKEN = "Your file was not taken. All that you see is still of “{}”."
_SO_FAR = "Coming into being: nearest so far"
_WHAT = (
    "A small model on purpose: it was trained on {count:,} openly licensed drawings, and all of them can be looked at "
    "under Training set."
)
_COPY = """async (query, method) => {
  const url = new URL(location.href.split(/[?#]/)[0] + query);
  url.searchParams.set('method', method);
  let copied = true;
  try { await navigator.clipboard.writeText(url.href); } catch { copied = false; }
  return [{__type__: 'update', value: url.href, visible: true},
          `<p class="status" role="status">${copied ? 'Link copied.' : 'Copy the link from the field above.'}</p>`];
}"""


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    can_generate = services.generator is not None
    usual, known = services.defaults, services.vocabulary
    first = services.examples[0].recipe if services.examples else None
    with gr.Row(elem_id="ask-row", visible=can_generate):
        prompt = gr.Textbox(
            first.prompt if first else "",
            label="Prompt",
            placeholder="rabbit",
            lines=1,
            max_lines=3,
            max_length=MAX_PROMPT,
            elem_id="prompt",
            autofocus=True,
            scale=6,
            min_width=240,
        )
        style = gr.Dropdown(
            [("as written", ""), *((name, name) for name in known.styles)],
            value=services.usual_style,
            label="Style",
            elem_id="style",
            scale=2,
            min_width=150,
            visible=bool(known.styles),
        )
        with gr.Row(elem_id="go-row"):
            start = gr.Button("Generate", variant="primary", elem_id="generate", scale=1, min_width=120)
            stop = gr.Button("Stop", elem_id="stop", scale=0, min_width=76)
    if not can_generate:
        gr.HTML(status_line("This collection has no generator. Upload or paste an image to attribute it."))
    with gr.Row(elem_id="reveal-row"):
        with gr.Column(scale=4, min_width=260, elem_id="made-column"):
            image = gr.Image(
                label="Image",
                show_label=False,
                format="png",
                interactive=False,
                elem_id="made",
                buttons=["fullscreen"],
                alt_text="the image that is attributed",
                height=330,
            )
            status = line("status", value=status_line(_OPENING))
            with gr.Row(visible=False, elem_id="recites") as recites:
                gr.HTML(f"<p class='status'>{RECITES}</p>", min_width=240)
                again = gr.Button(
                    "Draw again, less like it", elem_id="draw-again", size="md", scale=0, min_width=190
                )
            with gr.Row(elem_id="made-row"):
                see = gr.Button(
                    "All influences →", variant="primary", elem_id="see", min_width=120, size="md"
                )
                card = gr.Button("Share card", elem_id="share-card", min_width=120, size="md")
                png = gr.DownloadButton("Download PNG", elem_id="png", min_width=120, size="md")
                copy = gr.Button("Copy link", elem_id="copy-link", min_width=120, size="md")
            link = gr.Textbox(
                label="Link to this result",
                elem_id="link",
                interactive=False,
                visible=False,
                buttons=["copy"],
            )
            copied = gr.HTML(elem_id="copied")
            with gr.Accordion(SAYS, open=False, visible=False, elem_id="credentials-fold") as says:
                said = gr.HTML(elem_id="credentials")
        with gr.Column(scale=5, min_width=300, elem_id="reveal-column"):
            revealed = gr.HTML(_OPENING_SOURCES, elem_id="reveal")
    with gr.Column(elem_id="examples-box", visible=bool(services.examples)):
        of = "this generator" if not services.settings.generator else "the collection's own generator"
        gr.HTML(f"<h2>Images by {of}; choose one</h2>", elem_classes="caption")
        examples = picture_grid(
            [(query.image, query.title) for query in services.examples],
            label="Images by this generator",
            columns=8,
            elem_id="examples",
            format="png",
        )
    with gr.Row(elem_id="more-row"):
        with gr.Accordion(
            "Ideas, seed, steps and guidance", open=False, elem_id="recipe-fold", visible=can_generate
        ):
            idea = gr.Dropdown(
                list(known.things),
                value=None,
                label=f"One of {len(known.things)} things that this generator knows well",
                elem_id="idea",
                visible=bool(known.things),
            )
            with gr.Row(elem_id="seed-row"):
                seed = gr.Number(
                    first.seed if first else 1,
                    label="Seed",
                    precision=0,
                    minimum=0,
                    maximum=SEEDS,
                    elem_id="seed",
                    scale=3,
                    min_width=120,
                )
                keep_seed = gr.Checkbox(
                    False, label="Keep this seed", elem_id="keep-seed", scale=2, min_width=140
                )
                dice = gr.Button("Random seed", elem_id="dice", scale=1, min_width=130)
            with gr.Row():
                steps = gr.Slider(
                    *widened(STEPS, usual.steps),
                    usual.steps,
                    step=1,
                    label="Steps",
                    elem_id="steps",
                    min_width=140,
                )
                guidance = gr.Slider(
                    *widened(GUIDANCE, usual.guidance),
                    usual.guidance,
                    step=0.5,
                    label="Guidance scale",
                    elem_id="guidance",
                    min_width=140,
                )
        with gr.Accordion("Upload an image of your own", open=not can_generate, elem_id="upload-fold"):
            upload = image_file(
                label="Image of your own",
                show_label=False,
                sources=["upload", "clipboard"],
                elem_id="upload",
                height=200,
                buttons=[],
            )
    batch.build(services, session)
    if can_generate and not services.settings.generator:
        gr.HTML(status_line(_WHAT.format(count=len(services.collection.index))), elem_id="what")
    recipe = session.fields = [prompt, seed, steps, guidance]
    query_string = gr.Textbox(visible=False)

    @handler
    def next_seed(keep: bool, seed: float | None) -> list[Any]:
        return [seed if keep else secrets.randbelow(SEEDS + 1), _WAITING]

    @handler
    def revealed_again(query: Query | None, result: Attribution | None) -> str:
        return "" if query is None or result is None else _revealed(services, result)

    @handler
    def stopped(query: Query | None, result: Attribution | None) -> list[Any]:
        before = None if query is None else as_file(query.png, f"{query.file_name}.png")
        words = "Stopped." if query is None else f"Stopped. Shown again: “{query.title}”."
        return [before, status_line(words), revealed_again(query, result)]

    @handler
    def generate(prompt: str, seed: int, steps: int, guidance: float, style: str = "") -> Iterator[list[Any]]:
        words = known.complete(prompt or "", style or "")
        drawing = False
        try:
            for event in services.generate(words, whole_number(seed), whole_number(steps), guidance):
                drawing = isinstance(event, StepPreview)
                if isinstance(event, StepPreview):
                    so_far = services.glimpse(event)
                    shown = (
                        gr.skip()
                        if so_far is None
                        else reveal(so_far, services.thumbnail, _SO_FAR, [], unfinished=True)
                    )
                    step = f"Step {event.step} of {event.total}."
                    if services.recites_so_far(event, guidance):
                        step += f" {RECITES_SO_FAR}"
                    # What was made before stays until the next is there: it may not have been attributed yet.
                    yield [event.image, status_line(step), gr.skip(), shown]
                elif event.blacked_out:
                    # A black image has no influences, and nobody is to be credited for it.
                    yield [event.image, _about(event), None, ""]
                    raise InvalidInputError(BLACKED_OUT)
                else:
                    yield [event.image, status_line("Attributing ..."), event, gr.skip()]
        except Exception:
            if drawing:
                yield [gr.skip(), status_line(_BROKE_OFF), gr.skip(), gr.skip()]
            raise

    @handler
    def open_link(link: Link) -> Iterator[list[Any]]:
        asked = link.recipe
        yield [
            *filled_in(asked),
            link.method,
            None,
            status_line("Drawing the image that the link asks for ..."),
            None,
            _WAITING,
        ]
        kept = [gr.skip()] * (len(recipe) + 1)
        for image, status, query, shown in generate(asked.prompt, asked.seed, asked.steps, asked.guidance):
            if isinstance(query, Query):
                query = replace(query, notices=(*query.notices, *link.notices))
            yield [*kept, image, status, query, shown]

    @handler
    def draw_again(query: Query | None) -> Iterator[list[Any]]:
        if query is None or query.recipe is None:
            raise InvalidInputError("there is no image to draw again; generate one first.")
        asked = less_like(query.recipe, secrets.randbelow(SEEDS + 1))
        yield [*filled_in(asked), "", None, status_line("Drawing it again ..."), gr.skip(), _WAITING]
        kept = [gr.skip()] * (len(recipe) + 1)
        for part in generate(asked.prompt, asked.seed, asked.steps, asked.guidance):
            yield [*kept, *part]

    @handler
    def read_upload(path: str | None) -> list[Any]:
        query = services.read_upload(path)
        if query.recipe is None:
            return [*[gr.skip()] * len(recipe), query, None]
        notices = ["This PNG carries its recipe: prompt, seed, steps and guidance are filled in."]
        if can_generate and not repeats(query.recipe, services):
            notices.append(OTHER_GENERATOR)
        return [*filled_in(query.recipe), replace(query, notices=tuple(notices)), None]

    @handler
    def not_taken(query: Query | None, result: Attribution | None) -> list[Any]:
        if query is None:
            return [None, gr.skip()]
        return [None, status_line(_NOT_TAKEN.format(query.title)) + about(query, result)]

    @handler
    def show_example(number: float, event: gr.EventData) -> list[Any]:
        query = services.examples[place(number, event, len(services.examples)) - 1]
        return [*filled_in(query.recipe or Recipe(query.title)), query]

    def about(query: Query, result: Attribution | None) -> str:
        doubt = "" if result is None else services.doubt_words(query, result)
        return _about(query) + (status_line(doubt) if doubt else "")

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        address, hidden = write_link(query, services), gr.update(value="", visible=False)
        linked = [gr.update(visible=bool(address)), address, hidden, ""]
        if query is None:
            return [
                None,
                status_line("Nothing yet. Write a prompt or upload an image."),
                gr.update(value=None),
                *linked,
                "",
                gr.update(visible=False),
                gr.update(visible=False),
                "",
            ]
        data, not_signed = services.file_of(query, result)
        file = as_file(data, f"{query.file_name}.png")
        shown = "" if result is None else _revealed(services, result)
        warning = gr.update(visible=services.recites(query.recipe, query.noise_signal))
        words = about(query, result) + (status_line(not_signed) if not_signed else "")
        fold = [gr.update(visible=bool(query.credentials)), credentials_html(query.credentials)]
        return [file, words, gr.update(value=file), *linked, shown, warning, *fold]

    outputs = [image, status, png, copy, query_string, link, copied, revealed, recites, says, said]
    session.add_view(outputs, draw)
    dice.click(lambda: secrets.randbelow(SEEDS + 1), None, seed, api_name="random_seed", queue=False)
    # "once" would drop a click that comes while a stopped generation is still being put away.
    asking = gr.on(
        [start.click, prompt.submit],
        next_seed,
        [keep_seed, seed],
        [seed, revealed],
        api_visibility="undocumented",
        show_progress="hidden",
        queue=False,
        trigger_mode="multiple",
    )
    making = asking.then(
        generate,
        [*recipe, style],
        [image, status, session.made, revealed],
        api_name="generate",
        trigger_mode="multiple",
        **generation(status),
    )
    session.attribute_after(making)
    redrawing = again.click(
        draw_again,
        session.query,
        [*recipe, style, image, status, session.made, revealed],
        api_name="draw_again",
        trigger_mode="multiple",
        **generation(status),
    )
    session.attribute_after(redrawing)
    opening = session.link.change(
        open_link,
        session.link,
        [*recipe, session.method, image, status, session.made, revealed],
        api_name="open_link",
        api_visibility="undocumented",
        **generation(status),
    )
    session.attribute_after(opening)
    # First the end, then the word, or a preview that was still on its way would stand in its place.
    stop.click(None, cancels=[making, redrawing, opening], queue=False).then(
        stopped,
        [session.query, session.result],
        [image, status, revealed],
        api_name="stop",
        queue=False,
        show_progress="hidden",
    )
    for event in (making, redrawing, opening):
        event.failure(
            revealed_again,
            [session.query, session.result],
            revealed,
            api_visibility="undocumented",
            queue=False,
            show_progress="hidden",
        )
    uploading = upload.upload(
        read_upload,
        upload,
        [*recipe, session.made, upload],
        js=begins("upload"),
        api_name="read_upload",
    )
    session.attribute_after(uploading, "upload")
    uploading.failure(
        not_taken,
        [session.query, session.result],
        [upload, status],
        api_visibility="undocumented",
        queue=False,
        show_progress="hidden",
    )
    number = gr.Number(1, precision=0, visible=False)  # which example; in the browser the click says it
    session.attribute_after(
        examples.select(show_example, number, [*recipe, session.made], api_name="show_example")
    )
    idea.input(None, idea, prompt, js="(thing) => thing")
    report_buttons.save_card(services, session, card)
    query_string.change(None, [query_string, session.method], js=KEEP_RESULT)
    copy.click(None, [query_string, session.method], [link, copied], js=_COPY)
    see.click(None, js="() => document.querySelectorAll('[role=tab]')[1].click()")


def _revealed(services: Services, result: Attribution) -> str:
    if result.has_shares:
        notes = [CAVEAT, services.reliability_words(result)]
        return reveal(result, services.thumbnail, headline(result), notes)
    return similar(result, services.thumbnail, similarity_headline(result), [ORIGIN[result.made_by]])


def _about(query: Query) -> str:
    made = query.recipe
    words = f"“{query.title}”"
    if made is not None:
        words += (
            f" · seed {made.seed} · {made.steps} step{'s' * (made.steps != 1)} · guidance {made.guidance:g}"
        )
    return status_line(words) + "".join(status_line(notice) for notice in query.notices)
