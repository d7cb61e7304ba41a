"""Reports of the image in question, and the ledger of a visit, as files that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from attribution_core.attribution.result import Attribution
from attribution_core.common.images import png_bytes
from attribution_core.credentials.iptc import COMPOSITE
from attribution_core.errors import InvalidInputError
from attribution_core.reports.card import share_card
from attribution_core.reports.html import report_page
from attribution_core.reports.json_ld import ledger_json_ld, report_json_ld
from attribution_core.reports.ledger import Ledger
from attribution_core.reports.report import Report, make_report
from ui.handler import handler
from ui.services.app import Query, Services
from ui.services.judged import Judged, judge
from ui.services.link import write_link
from ui.services.visit import Seen
from ui.session import Session, as_file
from ui.widgets.lazy_download import SAVE, made_on_click
from ui.widgets.under_way import AFTERWARDS

_ADDRESS_LENGTH = 2000  # characters; a longer address is cut on the card anyway


def build(services: Services, session: Session, top: gr.Slider) -> None:
    """The buttons of the tab Attribution. top: how many training images are shown with a picture."""

    def report(
        query: Query | None,
        result: Attribution | None,
        method: str,
        shown: float,
        extra: dict[str, Any] | None = None,
        judged: list[Judged] | None = None,
    ) -> Report:
        if query is None or result is None:
            raise InvalidInputError("there is nothing to report yet; generate or upload an image first.")
        known = judge(services, query, judged)
        sections = [s for make in session.report_sections if (s := make(query, known)) is not None]
        sections += [section for of_query, section in (extra or {}).values() if of_query is query]
        return make_report(
            query.image,
            result,
            services.attributor(method).collection,
            title=query.title,
            recipe=query.recipe,
            shown=int(shown),
            sections=sections,
            copy=known.copy,
            opinion=known.opinion,
        )

    def saved(text: Callable[[Report], str], ending: str) -> Callable[..., str]:
        @handler
        def save(
            query: Query | None,
            result: Attribution | None,
            method: str,
            shown: float,
            extra: dict[str, Any] | None = None,
            judged: list[Judged] | None = None,
        ) -> str:
            data = text(report(query, result, method, shown, extra, judged)).encode()
            return as_file(data, f"{query.file_name if query else ''}-report.{ending}")

        return save

    asked = [session.query, session.result, session.method, top, session.extra_sections, session.judged]
    with gr.Row(elem_id="report-row"):
        gr.HTML(
            "<p class='status'>A report is one file that opens offline: the answer on one sheet, then every number and "
            "where it comes from.</p>"
        )
        for label, name, text, ending in (
            ("Report (HTML)", "report_html", report_page, "html"),
            ("Report (JSON)", "report_json", Report.to_json, "json"),
            ("Report (JSON-LD)", "report_json_ld", report_json_ld, "jsonld"),
        ):
            _button(label, name, saved(text, ending), asked)


_FROM_HERE = f"""async (...asked) => {{
  await ({AFTERWARDS})();
  return [...asked.slice(0, -1), location.href.split(/[?#]/)[0]];
}}"""
"""Before a card is asked for: wait until nothing is under way, and say where the page is."""


def save_card(services: Services, session: Session, button: gr.Button) -> None:
    """Save the share card of the image in question when the button is clicked."""
    file = gr.File(visible=False)
    address = gr.Textbox(visible=False)

    @handler
    def share_card_png(query: Query | None, result: Attribution | None, address: str = "") -> str:
        if query is None or result is None:
            raise InvalidInputError("there is nothing to share yet; generate or upload an image first.")
        card = share_card(
            query.image,
            result,
            services.collection.corpus,
            title=query.title,
            address=f"{address}{write_link(query, services)}"[:_ADDRESS_LENGTH],
        )
        xmp = b"" if query.recipe is None else query.recipe.metadata(source_type=COMPOSITE).xmp()
        return as_file(png_bytes(card, xmp=xmp), f"{query.file_name}-card.png")

    saved = button.click(
        share_card_png,
        [session.query, session.result, address],
        file,
        js=_FROM_HERE,
        api_name="share_card",
        show_progress="hidden",
    )
    saved.success(None, file, None, js=SAVE)


def build_ledger(services: Services, session: Session) -> None:
    """The buttons of the part By maker."""

    def ledger(seen: list[Seen] | None) -> Ledger:
        entries = [s.entry for s in seen or () if s.entry.attribution.has_shares]
        if not entries:
            raise InvalidInputError(
                "no image of this visit has shares to add up yet; generate one, or upload one that a model trained on "
                "this collection made."
            )
        return Ledger.of(entries, services.collection.corpus)

    def saved(text: Callable[[Ledger], str], ending: str) -> Callable[..., str]:
        @handler
        def save(seen: list[Seen] | None) -> str:
            return as_file(text(ledger(seen)).encode(), f"ledger.{ending}")

        return save

    with gr.Row(elem_id="ledger-row"):
        words = gr.HTML(_ledger_words([]), elem_id="ledger-words")
        for label, name, text, ending in (
            ("Ledger (CSV)", "ledger_csv", Ledger.to_csv, "csv"),
            ("Ledger (JSON)", "ledger_json", Ledger.to_json, "json"),
            ("Ledger (JSON-LD)", "ledger_json_ld", ledger_json_ld, "jsonld"),
        ):
            _button(label, name, saved(text, ending), [session.ledger])
    session.add_visit_view([words], lambda seen: [_ledger_words(seen)])


def _button(label: str, name: str, make: Callable[..., str], asked: list[Any]) -> None:
    made_on_click(
        label,
        make,
        asked,
        elem_id=name.replace("_", "-"),
        api_name=name,
        scale=0,
        min_width=170,
        size="md",
    )


def _ledger_words(seen: list[Seen]) -> str:
    count = (
        "is still empty" if not seen else "holds 1 image" if len(seen) == 1 else f"holds {len(seen)} images"
    )
    return (
        f"<p class='status'>The ledger of this visit {count}. It has a row for each image, and sums by maker and "
        "licence over all of them.</p>"
    )
