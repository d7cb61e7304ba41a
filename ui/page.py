"""The whole page: a head, the tabs, and the same as an API."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable
from typing import Any

import gradio as gr

from ui import api
from ui.services.app import Services
from ui.session import KEEP_S, Session
from ui.tabs import (
    artwork,
    attribution,
    compare,
    credit,
    evidence,
    generate,
    history,
    memorization,
    regions,
    scores,
    second_opinion,
)
from ui.widgets.theme import CSS, theme

TABS: tuple[tuple[str, Callable[[Services, Session], None]], ...] = (
    ("Generate", generate.build),
    ("Attribution", attribution.build),
    ("Scores", scores.build),
    ("Regions", regions.build),
    ("Credit", credit.build),
    ("My artwork", artwork.build),
    ("Memorization", memorization.build),
    ("Second opinion", second_opinion.build),
    ("Compare", compare.build),
    ("Evidence", evidence.build),
)


def build(services: Services) -> gr.Blocks:
    """Draw the page for one opened collection."""
    gr.set_static_paths([one.image_folder for one in (services, *services.others)])
    with gr.Blocks(
        title="Attribution Explorer", analytics_enabled=False, delete_cache=(KEEP_S, KEEP_S)
    ) as page:
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
        api.build(services, page)
    page.queue(max_size=services.settings.queue_size, default_concurrency_limit=4)
    return page


def launch(page: gr.Blocks, services: Services, **options: Any) -> tuple[Any, str, str]:
    """Start serving with the app's looks and limits.

    options: passed on to Gradio's `launch`. Raises `MissingDependencyError` where the settings ask for an MCP server
    that is not installed.
    """
    settings = services.settings
    if settings.mcp:
        api.need_mcp()
    # Where nothing is set, Gradio reads GRADIO_SERVER_NAME, which Hugging Face Spaces set, and GRADIO_MCP_SERVER.
    host = settings.host if "host" in settings.model_fields_set else None
    mcp = settings.mcp if "mcp" in settings.model_fields_set else None
    options = {"prevent_thread_lock": False, **options}
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "This MCP server includes a tool that has a gr.State"
        )  # it does not keep it
        served: tuple[Any, str, str] = page.launch(
            server_name=host,
            server_port=settings.port or None,
            theme=theme(),
            css_paths=CSS,
            mcp_server=mcp,
            max_file_size=settings.max_upload_mb * 1_000_000,
            ssr_mode=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=["api"],
            show_error=False,
            **{**options, "prevent_thread_lock": True},
        )
    api.keep_tools(page)
    if not options["prevent_thread_lock"]:
        page.block_thread()
    return served


def _head(services: Services) -> str:
    collection = services.collection
    fitted = (
        f"temperature {collection.calibrator.temperature_:.4f}"
        if collection.calibrator.is_fitted
        else "no fitted temperature"
    )
    facts = (
        f"{collection.name}: {len(collection.index):,} training images · {collection.encoder_name} · {fitted}"
    )
    return (
        "<h1>Attribution Explorer</h1><p>Whose work is in this image? The training images that most likely "
        f"influenced it, each with a calibrated share.</p><p class='facts-line'>{html.escape(facts)}</p>"
    )
