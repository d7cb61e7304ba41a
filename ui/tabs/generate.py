"""The tab Generate: a prompt becomes an image step by step, or an image is brought along."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from attribution_core.attribution.result import Attribution
from attribution_core.errors import InvalidInputError
from attribution_core.generation.generator import BLACKED_OUT, StepPreview
from attribution_core.generation.recipe import Recipe
from ui.handler import handler
from ui.server.lanes import GENERATION
from ui.services.app import MAX_PROMPT, Query, Services
from ui.services.link import OTHER_GENERATOR, Link, repeats, write_link
from ui.session import Session, as_file, image_file, place
from ui.widgets.recipe_fields import GUIDANCE, SEEDS, STEPS, filled_in, whole_number, widened
from ui.widgets.status import status_line
from ui.widgets.under_way import begins

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
    usual = services.defaults
    first = services.examples[0].recipe if services.examples else None
    with gr.Row():
        with gr.Column(scale=5, min_width=300, elem_id="prompt-column"):
            with gr.Group(visible=can_generate):
                prompt = gr.Textbox(
                    first.prompt if first else "",
                    label="Prompt",
                    placeholder="red apple, noto style",
                    lines=1,
                    max_lines=4,
                    max_length=MAX_PROMPT,
                    elem_id="prompt",
                    autofocus=True,
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
                    dice = gr.Button("Random seed", elem_id="dice", scale=1, min_width=150)
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
                        label="Guidance",
                        elem_id="guidance",
                        min_width=140,
                    )
            with gr.Row(visible=can_generate):
                start = gr.Button("Generate", variant="primary", elem_id="generate", scale=3)
                stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=80)
            if not can_generate:
                gr.Markdown("This collection has no generator: upload or paste an image to attribute it.")
            with gr.Column(elem_id="examples-box", visible=bool(services.examples)):
                of = "this generator" if not services.settings.generator else "the collection's own generator"
                gr.HTML(f"<h2>Examples of {of}</h2>", elem_classes="caption")
                examples = gr.Gallery(
                    [(query.image, query.title) for query in services.examples],
                    label="Examples of this generator",
                    show_label=False,
                    columns=4,
                    allow_preview=False,
                    height="auto",
                    object_fit="contain",
                    elem_id="examples",
                    buttons=[],
                    format="png",
                    interactive=False,
                )
        with gr.Column(scale=4, min_width=300, elem_id="made-column"):
            image = gr.Image(
                label="Image",
                format="png",
                interactive=False,
                elem_id="made",
                buttons=["fullscreen"],
                alt_text="the image that was made",
                height=360,
            )
            status = gr.HTML(elem_id="status")
            see = gr.Button("See influences →", variant="primary", elem_id="see")
            with gr.Row():
                png = gr.DownloadButton("Download PNG", elem_id="png", min_width=140)
                copy = gr.Button("Copy link", elem_id="copy-link", min_width=140)
            link = gr.Textbox(
                label="Link to this result",
                elem_id="link",
                interactive=False,
                visible=False,
                buttons=["copy"],
            )
            copied = gr.HTML(elem_id="copied")
            gr.HTML("<h2>Or bring an image of your own</h2>", elem_classes="caption")
            upload = image_file(
                label="Image of your own",
                show_label=False,
                sources=["upload", "clipboard"],
                elem_id="upload",
                height=200,
                buttons=[],
            )
    recipe = session.fields = [prompt, seed, steps, guidance]
    query_string = gr.Textbox(visible=False)

    @handler
    def generate(prompt: str, seed: int, steps: int, guidance: float) -> Iterator[list[Any]]:
        for event in services.generate(prompt, whole_number(seed), whole_number(steps), guidance):
            if isinstance(event, StepPreview):
                yield [event.image, status_line(f"Step {event.step} of {event.total}"), None]
            elif event.blacked_out:  # a black image has no influences, and nobody is to be credited for it
                yield [event.image, _about(event), None]
                raise InvalidInputError(BLACKED_OUT)
            else:
                yield [event.image, status_line("Attributing ..."), event]

    @handler
    def open_link(link: Link) -> Iterator[list[Any]]:
        asked = link.recipe
        yield [
            *filled_in(asked),
            link.method,
            None,
            status_line("Making the image that the link asks for ..."),
            None,
        ]
        kept = [gr.skip()] * (len(recipe) + 1)
        for image, status, query in generate(asked.prompt, asked.seed, asked.steps, asked.guidance):
            made = query and replace(query, notices=(*query.notices, *link.notices))
            yield [*kept, image, status, made]

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
    def show_example(number: float, event: gr.EventData) -> list[Any]:
        query = services.examples[place(number, event, len(services.examples)) - 1]
        return [*filled_in(query.recipe or Recipe(query.title)), query]

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        address, hidden = write_link(query, services), gr.update(value="", visible=False)
        linked = [gr.update(visible=bool(address)), address, hidden, ""]
        if query is None:
            return [
                None,
                status_line("Nothing yet: write a prompt, or bring an image."),
                gr.update(value=None),
                *linked,
            ]
        file = as_file(query.png, f"{query.file_name}.png")
        return [file, _about(query), gr.update(value=file), *linked]

    session.add_view([image, status, png, copy, query_string, link, copied], draw)
    dice.click(lambda: secrets.randbelow(SEEDS + 1), None, seed, api_name="random_seed", queue=False)
    # "once" would drop a click that comes while a stopped generation is still being put away.
    making = gr.on(
        [start.click, prompt.submit],
        generate,
        recipe,
        [image, status, session.made],
        api_name="generate",
        show_progress="minimal",  # on the words alone: it says how many wait before this one
        show_progress_on=[status],
        trigger_mode="multiple",
        **GENERATION,
    )
    session.attribute_after(making)
    opening = session.link.change(
        open_link,
        session.link,
        [*recipe, session.method, image, status, session.made],
        api_name="open_link",
        api_visibility="undocumented",
        show_progress="hidden",
        **GENERATION,
    )
    session.attribute_after(opening)
    # First the end, then the word, or a preview that was still on its way would stand in its place.
    stop.click(None, cancels=[making, opening], queue=False).then(
        lambda: status_line("Stopped."), None, status, api_name="stop", queue=False
    )
    session.attribute_after(
        upload.upload(
            read_upload,
            upload,
            [*recipe, session.made, upload],
            js=begins("upload"),
            api_name="read_upload",
        ),
        "upload",
    )
    number = gr.Number(1, precision=0, visible=False)  # which example; in the browser the click says it
    session.attribute_after(
        examples.select(show_example, number, [*recipe, session.made], api_name="show_example")
    )
    copy.click(None, [query_string, session.method], [link, copied], js=_COPY)
    see.click(None, js="() => document.querySelectorAll('[role=tab]')[1].click()")


def _about(query: Query) -> str:
    made = query.recipe
    words = f"“{query.title}”"
    if made is not None:
        words += (
            f" · seed {made.seed} · {made.steps} step{'s' * (made.steps != 1)} · guidance {made.guidance:g}"
        )
    return status_line(words) + "".join(status_line(notice) for notice in query.notices)
