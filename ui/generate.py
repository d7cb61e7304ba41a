"""The tab Generate: a prompt becomes an image step by step, or an image is brought along."""

from __future__ import annotations

import html
import secrets
from collections.abc import Iterator
from typing import Any

import gradio as gr

from attribution_core.generation import StepPreview
from attribution_core.recipe import MAX_SEED, Recipe
from attribution_core.results import Attribution
from ui.services import MAX_PROMPT, Query, Services
from ui.session import COMPUTE, Session, as_file, image_file, place, shown_errors

SEEDS = min(2**31 - 1, MAX_SEED)  # a 32-bit number: what the field of every browser keeps exactly


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    can_generate = services.generator is not None
    usual = services.defaults
    first = services.examples[0].recipe if services.examples else None
    with gr.Row():
        with gr.Column(scale=5, min_width=300, elem_id="prompt-column"):
            with gr.Group(visible=can_generate):
                prompt = gr.Textbox(
                    first.prompt if first else "", label="Prompt", placeholder="red apple, noto style", lines=1,
                    max_lines=4, max_length=MAX_PROMPT, elem_id="prompt", autofocus=True)
                with gr.Row(elem_id="seed-row"):
                    seed = gr.Number(first.seed if first else 1, label="Seed", precision=0, minimum=0, maximum=SEEDS,
                                     elem_id="seed", scale=3, min_width=120)
                    dice = gr.Button("Random seed", elem_id="dice", scale=1, min_width=150)
                with gr.Row():
                    steps = gr.Slider(1, 50, usual.steps, step=1, label="Steps", elem_id="steps", min_width=140)
                    guidance = gr.Slider(1, 10, usual.guidance, step=0.5, label="Guidance", elem_id="guidance",
                                         min_width=140)
            with gr.Row(visible=can_generate):
                start = gr.Button("Generate", variant="primary", elem_id="generate", scale=3)
                stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=80)
            if not can_generate:
                gr.Markdown("This collection has no generator: upload or paste an image to attribute it.")
            with gr.Column(elem_id="examples-box", visible=bool(services.examples)):
                gr.HTML("<h3>Examples of this generator</h3>", elem_classes="caption")
                examples = gr.Gallery(
                    [(query.image, query.title) for query in services.examples], label="Examples of this generator",
                    show_label=False, columns=4, allow_preview=False, height="auto", object_fit="contain",
                    elem_id="examples", buttons=[], format="png", interactive=False)
        with gr.Column(scale=4, min_width=300, elem_id="made-column"):
            image = gr.Image(label="Image", format="png", interactive=False, elem_id="made", buttons=["fullscreen"],
                             height=360)
            status = gr.HTML(elem_id="status")
            with gr.Row():
                see = gr.Button("See influences →", variant="primary", elem_id="see", min_width=180)
                png = gr.DownloadButton("Download PNG", elem_id="png", min_width=140)
            gr.HTML("<h3>Or bring an image of your own</h3>", elem_classes="caption")
            upload = image_file(label="Image of your own", show_label=False, sources=["upload", "clipboard"],
                                elem_id="upload", height=200, buttons=[])
    recipe = [prompt, seed, steps, guidance]

    @shown_errors
    def generate(prompt: str, seed: int, steps: int, guidance: float) -> Iterator[list[Any]]:
        for event in services.generate(prompt, _whole(seed), _whole(steps), guidance):
            if isinstance(event, StepPreview):
                yield [event.image, _line(f"Step {event.step} of {event.total}"), None]
            else:
                yield [event.image, _line("Attributing ..."), event]

    @shown_errors
    def read_upload(path: str | None) -> tuple[Query, Any]:
        return services.read_upload(path), None

    @shown_errors
    def show_example(number: float, event: gr.EventData) -> list[Any]:
        query = services.examples[place(number, event, len(services.examples)) - 1]
        made = query.recipe or Recipe(query.title)
        return [made.prompt, made.seed, made.steps, made.guidance, query]

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        if query is None:
            return [None, _line("Nothing yet: write a prompt, or bring an image."), gr.update(value=None)]
        file = as_file(png, services.png(query), f"{query.file_name}.png")
        return [query.image, _about(query), gr.update(value=file)]

    session.add_view([image, status, png], draw)
    dice.click(lambda: secrets.randbelow(SEEDS + 1), None, seed, api_name="random_seed", queue=False)
    # "once" would drop a click that comes while a stopped generation is still being put away.
    making = gr.on([start.click, prompt.submit], generate, recipe, [image, status, session.made], api_name="generate",
                   show_progress="hidden", trigger_mode="multiple", **COMPUTE)
    session.attribute_after(making)
    # First the end, then the word, or a preview that was still on its way would stand in its place.
    stop.click(None, cancels=[making], queue=False).then(lambda: _line("Stopped."), None, status, api_name="stop",
                                                         queue=False)
    session.attribute_after(upload.upload(read_upload, upload, [session.made, upload], api_name="read_upload"))
    number = gr.Number(1, precision=0, visible=False)  # which example; in the browser the click says it
    session.attribute_after(examples.select(show_example, number, [*recipe, session.made], api_name="show_example"))
    see.click(None, js="() => document.querySelectorAll('[role=tab]')[1].click()")


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and float(value).is_integer() else value


def _line(words: str) -> str:
    return f'<p class="status" role="status">{html.escape(words)}</p>'


def _about(query: Query) -> str:
    made = query.recipe
    words = f"“{query.title}”"
    if made is not None:
        words += f" · seed {made.seed} · {made.steps} steps · guidance {made.guidance:g}"
    return _line(words) + "".join(_line(notice) for notice in query.notices)
