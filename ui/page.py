"""The whole page: a head, the tabs, and the same as an API."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from ui import (
    artwork,
    attribution,
    compare,
    credit,
    evidence,
    generate,
    history,
    memorization,
    opinion,
    regions,
    scores,
)
from ui.services import Query, Services
from ui.session import COMPUTE, KEEP_S, Session, as_file, shown_errors
from ui.theme import CSS, theme

TABS: tuple[tuple[str, Callable[[Services, Session], None]], ...] = (
    ("Generate", generate.build),
    ("Attribution", attribution.build),
    ("Scores", scores.build),
    ("Regions", regions.build),
    ("Credit", credit.build),
    ("My artwork", artwork.build),
    ("Memorization", memorization.build),
    ("Second opinion", opinion.build),
    ("Compare", compare.build),
    ("Evidence", evidence.build),
)


def build(services: Services) -> gr.Blocks:
    """Draw the page for one opened collection."""
    gr.set_static_paths([one.image_folder for one in (services, *services.others)])
    with gr.Blocks(title="Attribution Explorer", analytics_enabled=False, delete_cache=(KEEP_S, KEEP_S)) as page:
        session = Session(services)
        with gr.Row(elem_id="head-row"):
            gr.HTML(_head(services), elem_id="head")
            history.build(session)
        with gr.Tabs(elem_id="tabs"):
            for name, draw in TABS:
                with gr.Tab(name, id=name.lower().replace(" ", "-")) as session.tab:
                    draw(services, session)
        history.wire(session)
        session.connect(page)
        _api(services, page)
    page.queue(max_size=services.settings.queue_size, default_concurrency_limit=4)
    return page


def launch(page: gr.Blocks, services: Services, **options: Any) -> tuple[Any, str, str]:
    """Start serving with the app's looks and limits. options: passed on to Gradio's `launch`."""
    settings = services.settings
    # Where nothing is set, Gradio reads GRADIO_SERVER_NAME, which Hugging Face Spaces set.
    host = settings.host if "host" in settings.model_fields_set else None
    return page.launch(
        server_name=host, server_port=settings.port or None, theme=theme(), css_paths=CSS,
        max_file_size=settings.max_upload_mb * 1_000_000, ssr_mode=False, enable_monitoring=False, run_history=False,
        footer_links=["api"], show_error=False, **options)


def _head(services: Services) -> str:
    collection = services.collection
    fitted = f"temperature {collection.calibrator.temperature_:.4f}" if collection.calibrator.is_fitted else \
        "no fitted temperature"
    facts = (f"{collection.name}: {len(collection.index):,} training images · {collection.encoder_name} · {fitted}")
    return ("<h1>Attribution Explorer</h1><p>Whose work is in this image? The training images that most likely "
            f"influenced it, each with a calibrated share.</p><p class='facts-line'>{html.escape(facts)}</p>")


def _api(services: Services, page: gr.Blocks) -> None:
    """Two calls without a page: `attribute_image` and `generate_image`."""

    @shown_errors
    def attribute_image(image: gr.FileData, top: int = 10, method: str = "") -> dict[str, Any]:
        """List the training images that most likely influenced an image, with calibrated shares and credits."""
        result = services.attribute(services.read_upload(image["path"]), method)
        return result.head(top).to_dict()

    @shown_errors
    def generate_image(prompt: str, seed: int = 1, steps: int = services.defaults.steps,
                       guidance: float = services.defaults.guidance) -> gr.FileData:
        """Make one image from a prompt; returns a PNG that carries its recipe."""
        made = next(event for event in services.generate(prompt, seed, steps, guidance) if isinstance(event, Query))
        path = as_file(page, services.png(made), f"{made.file_name}.png")
        return {"path": path, "orig_name": Path(path).name, "meta": {"_type": "gradio.FileData"}}

    gr.api(attribute_image, api_name="attribute_image", **COMPUTE)
    gr.api(generate_image, api_name="generate_image", **COMPUTE)
