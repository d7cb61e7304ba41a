"""The whole page: a head, the tabs, and the same as an API."""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ui import api
from ui.gradio_compat import UnknownCall, keep_lean_states, use_turns, visit_of_call
from ui.server.doors import Alias, Bounded, Doors, SameOrigin
from ui.server.gate import guard
from ui.server.lanes import FairTurns, Listeners
from ui.server.receive import progress, receiver
from ui.services.app import Services
from ui.services.folder import private_folder
from ui.services.memorization import MemorizationServices
from ui.services.tour import TourServices
from ui.session import KEEP_S, Session, sweep_files
from ui.tabs import (
    artwork,
    attribution,
    compare,
    credit,
    evidence,
    generate,
    history,
    left_out,
    memorization,
    patches,
    regions,
    scores,
    second_opinion,
    tour,
    training_set,
)
from ui.widgets.address import OPEN, keep_tab
from ui.widgets.in_line import WATCH_LINES
from ui.widgets.theme import CSS, theme
from ui.widgets.tour_html import LINK

Draw = Callable[[Services, Session], None]
TABS: tuple[tuple[str, Draw | tuple[tuple[str, Draw], ...]], ...] = (
    ("Generate", generate.build),
    (
        "Attribution",
        (
            ("By image", attribution.build),
            ("By maker", credit.build),
            ("By region", regions.build),
            ("By patches", patches.build),
            ("Second opinion", second_opinion.build),
        ),
    ),
    ("Scores", scores.build),
    ("Memorization", memorization.build),
    ("My artwork", artwork.build),
    ("Training set", training_set.build),
    (
        "Evidence",
        (
            ("Reliability", evidence.build_reliability),
            ("One case", evidence.build_one_case),
            ("All methods", evidence.build_all_methods),
            ("Left out", left_out.build),
            ("Compare", compare.build),
        ),
    ),
)
"""Name of each tab and what draws it; the parts of a tab are tabs inside it."""
HEADS: dict[str, Draw] = {"Attribution": attribution.build_head}
"""What stands above the parts of a tab, where there is something."""


_HANDLER_LIMIT = 4  # calls at once of a handler that belongs to no lane


def build(services: Services) -> gr.Blocks:
    """Draw the page for one opened collection."""
    gr.set_static_paths([one.image_folder for one in (services, *services.others)])
    with gr.Blocks(
        title="Attribution Explorer", analytics_enabled=False, delete_cache=(KEEP_S, KEEP_S)
    ) as page:
        session, stops = Session(services), TourServices(MemorizationServices(services))
        with gr.Row(elem_id="head-row"):
            gr.HTML(_head(services, has_tour=bool(stops.kinds)), elem_id="head")
            history.build(session)
        if stops.kinds:
            tour.build(stops, page)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for name, content in TABS:
                with gr.Tab(name, id=_slug(name)) as tab:
                    tab.select(None, js=keep_tab(_slug(name)))
                    if callable(content):
                        session.tabs = (tab,)
                        content(services, session)
                    else:
                        if name in HEADS:
                            HEADS[name](services, session)
                        with gr.Tabs(
                            elem_id=f"{_slug(name)}-parts", elem_classes="parts", overflow_behavior="wrap"
                        ):
                            for part, draw in content:
                                with gr.Tab(part, id=_slug(part)) as inner:
                                    session.tabs = (inner, tab)
                                    draw(services, session)
        history.wire(session)
        session.connect(page)
        page.load(None, js=OPEN)
        page.load(None, js=WATCH_LINES)
        api.build(services, page)
    guard(page, services.uploads)
    return page


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")


def _sweep(services: Services) -> None:
    services.uploads.sweep(KEEP_S)
    sweep_files()


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
    listeners = Listeners()
    turns = FairTurns(settings, listeners, lambda: _sweep(services))
    use_turns(page, turns, _HANDLER_LIMIT)
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
            state_session_capacity=settings.visits,
            app_kwargs=_inside(page, services, listeners),
            ssr_mode=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=["api"],
            show_error=False,
            **{**options, "prevent_thread_lock": True},
        )
    keep_lean_states(page, lambda visit: listeners.silent_s(visit) == 0)
    api.keep_tools(page, services.limits.file_bytes)
    if not options["prevent_thread_lock"]:
        page.block_thread()
    return served


def _inside(page: gr.Blocks, services: Services, listeners: Listeners) -> dict[str, Any]:
    """Middleware around Gradio's server, outermost first, and routes that take precedence over its own."""
    hosts = _hosts(services)
    return {
        "exception_handlers": {UnknownCall: _no_such_call},
        "docs_url": None,
        "redoc_url": None,
        "openapi_url": None,
        "middleware": [
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            Middleware(SameOrigin, hosts=hosts),  # type: ignore[arg-type]
            Middleware(
                Doors,  # type: ignore[arg-type]
                listeners=listeners,
                visit_of=partial(visit_of_call, page),
                embed_in=services.settings.embed_in,
            ),
            Middleware(Bounded, file_bytes=services.limits.file_bytes),  # type: ignore[arg-type]
            Middleware(Alias, folder=str(private_folder())),  # type: ignore[arg-type]
        ],
        "routes": [
            Route(
                "/gradio_api/upload",
                receiver(services.limits, services.uploads, services.trust),
                methods=["POST"],
            ),
            Route("/gradio_api/upload_progress", progress),
        ],
    }


def _no_such_call(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("there is no such call; see the page's 'Use via API'.", 404)


def _hosts(services: Services) -> list[str]:
    """Names under which a browser may reach the app: this machine's, its Space's, and those that the settings name."""
    own = [services.settings.host, os.environ.get("GRADIO_SERVER_NAME", ""), os.environ.get("SPACE_HOST", "")]
    given = [name for name in own if name not in ("", "0.0.0.0", "::")]
    return ["localhost", "127.0.0.1", *given, *services.settings.allowed_hosts]


_PAPER = "https://arxiv.org/abs/2306.09345"


def _head(services: Services, *, has_tour: bool) -> str:
    collection = services.collection
    name, count = html.escape(collection.name), f"{len(collection.index):,}"
    dot, link = (" · ", LINK) if has_tour else ("", "")
    return (
        "<h1>Attribution Explorer <span>Whose work is in this image?</span></h1>"
        f"<p class='facts-line'><span>{name}: {count} training images. After <a href='{_PAPER}' target='_blank' "
        f"rel='noopener noreferrer'>Wang et al., ICCV 2023</a>{dot}</span>{link}</p>"
    )
