"""The tab My artwork: an artist's own images beside the training set, and a model that learns from them on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from attribution_core.analyses.artwork.standing import LONGEST_NAME
from attribution_core.attribution.result import Attribution
from attribution_core.figures.artwork import beside_the_strongest
from attribution_core.reports.as_dict import standing_dict
from ui.handler import handler
from ui.server.lanes import ATTRIBUTION
from ui.services.app import Query, Services
from ui.services.artwork import ArtworkServices, Desk
from ui.services.uploads import delete
from ui.session import KEEP_S, Session
from ui.tabs import artwork_learning, artwork_nearest
from ui.widgets import artwork_html as words
from ui.widgets import artwork_texts as texts

SECTION = "artwork"
_QUIET: dict[str, Any] = {"api_visibility": "undocumented", "show_progress": "hidden"}


def build(services: Services, session: Session) -> None:
    """Draw the tab and wire it."""
    own = ArtworkServices(services, services.uploads.folder)
    desk = gr.State(None, time_to_live=KEEP_S)
    artist = gr.Textbox(
        label=texts.NAME, max_length=LONGEST_NAME, lines=1, elem_id="artist", min_width=230, render=False
    )
    with gr.Column(elem_id="artwork"):
        gr.HTML(texts.WHAT, elem_id="artwork-what")
        with gr.Row(elem_id="artwork-row"):
            with gr.Column(scale=2, min_width=280):
                upload = gr.File(
                    label=texts.UPLOAD,
                    file_count="multiple",
                    file_types=["image"],
                    elem_id="artwork-upload",
                    height=150,
                )
                forget = gr.Button(texts.FORGET, elem_id="forget-artwork", interactive=False)
            with gr.Column(scale=3, min_width=300):
                pieces = gr.HTML(words.pieces(Desk()), elem_id="artwork-pieces")
                gr.HTML(texts.PRIVACY, elem_id="artwork-privacy")
        found = artwork_nearest.build(session, own, desk, artist)
        emptied = [*found.shown, *_credited(session, own, desk, artist)]
        running = list(found.running)
        if services.generator is not None:
            shown, events = artwork_learning.build(session, own, desk, artist)
            emptied += shown
            running += events
    blank = [
        gr.update(visible=False) if isinstance(c, gr.Column) else "" if isinstance(c, gr.HTML) else None
        for c in emptied
    ]

    def laid(kept: Desk) -> list[Any]:
        return [kept, words.pieces(kept), gr.update(interactive=bool(kept.images))]

    @handler
    def drop(
        kept: Desk | None, paths: list[str] | None, sections: dict[str, Any], request: gr.Request
    ) -> list[Any]:
        on_desk = own.drop(kept, paths, request.session_hash or "")
        return [*laid(on_desk), _without(sections), *blank]

    @handler
    def forget_all(
        kept: Desk | None, sections: dict[str, Any], paths: list[str] | None, request: gr.Request
    ) -> list[Any]:
        for path in paths or ():  # of a drop that was refused because the app was busy
            delete(Path(path))
        own.leave(request.session_hash or "")
        if kept is not None:
            kept.forget()
        return ["", None, *laid(Desk()), _without(sections), *blank]

    outputs = [desk, pieces, forget, session.extra_sections, *emptied]
    dropped = upload.upload(
        drop,
        [desk, upload, session.extra_sections],
        outputs,
        api_name="drop_artwork",
        api_visibility="undocumented",
        show_progress="minimal",
    )
    running += found.follow(dropped)
    # Also of a drop that is refused because the app is busy, so that it can be forgotten.
    upload.upload(None, None, forget, js="() => ({__type__: 'update', interactive: true})", queue=False)
    # The files are gone, so their names must go, too, also where one of them could not be read.
    for number, ended in enumerate((dropped.success, dropped.failure), 1):
        ended(lambda: None, None, upload, api_name=f"empty_drop_{number}", queue=False, **_QUIET)
    forget.click(None, cancels=running, queue=False).then(
        forget_all,
        [desk, session.extra_sections, upload],
        [artist, upload, *outputs],
        api_name="forget_artwork",
        queue=False,
        **_QUIET,
    )
    session.on_leave(own.leave)
    _api(own)


def _credited(session: Session, own: ArtworkServices, desk: gr.State, artist: gr.Textbox) -> list[Any]:
    """Would the artist be credited for the image on Generate? Gives what is emptied with the desk."""
    gr.HTML(texts.CREDITED, elem_classes="part")
    with gr.Row(elem_id="credited-row"):
        about = gr.HTML(words.about(None), elem_id="credited-about")
        artist.render()
        ask = gr.Button(texts.ASK_CREDITED, variant="primary", elem_id="ask-credited", scale=0, min_width=230)
    with gr.Column(visible=False, elem_id="credited") as box:
        sentence = gr.HTML(elem_id="credited-words")
        with gr.Accordion(texts.NUMBERS, open=False, elem_id="credited-fold"):
            tiles = gr.HTML(elem_id="credited-tiles")
            plot = gr.Plot(label="Your images beside the strongest training images", elem_id="credited-plot")
            table = gr.Dataframe(
                headers=texts.PIECES,
                datatype=["number", "str", *["number"] * 6],
                interactive=False,
                elem_id="credited-table",
                max_height=420,
            )
            gr.HTML(texts.HOW_CREDITED, elem_id="credited-how")
    shown = [box, sentence, tiles, plot, table]

    @handler
    def ask_credited(
        kept: Desk | None, artist: str, method: str, query: Query | None, sections: dict[str, Any]
    ) -> list[Any]:
        standing = own.credited(kept, texts.named(artist), method, query)
        sections = {**(sections or {}), SECTION: (query, words.section(standing))}
        return [
            sections,
            gr.update(visible=True),
            words.credited(standing),
            words.credited_tiles(standing),
            beside_the_strongest(standing),
            words.piece_rows(standing),
        ]

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        return [words.about(query), gr.update(visible=False), "", "", None, None]

    session.add_view([about, *shown], draw)
    ask.click(
        ask_credited,
        [desk, artist, session.method, session.query, session.extra_sections],
        [session.extra_sections, *shown],
        api_name="ask_credited",
        api_visibility="undocumented",
        show_progress="minimal",
        **ATTRIBUTION,
    )
    return shown


def _api(own: ArtworkServices) -> None:
    """A call without a page."""

    @handler
    def would_be_credited(
        artwork: list[gr.FileData], artist: str, image: gr.FileData, method: str = ""
    ) -> dict[str, Any]:
        """Say where an artist's images would stand among the training images of an image.

        Uploaded files are deleted as soon as they are read.
        """
        return standing_dict(own.answer([file["path"] for file in artwork], artist, image["path"], method))

    gr.api(would_be_credited, api_name="would_be_credited", **ATTRIBUTION)


def _without(sections: dict[str, Any] | None) -> dict[str, Any]:
    return {title: section for title, section in (sections or {}).items() if title != SECTION}
