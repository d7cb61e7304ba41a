"""The part Left out, without a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from attribution_core.common.estimates import Estimate
from attribution_core.evidence.counterfactual import Asked, CounterfactualEvidence, Judged
from attribution_core.settings import Settings
from tests.support.fakes import fake_collection
from ui.services.app import Services
from ui.session import Session
from ui.tabs import left_out
from ui.widgets import left_out_html as html
from ui.widgets import left_out_texts as texts

UP, AT_CHANCE = Estimate(0.5, 0.4, 0.6), Estimate(0.0, -0.1, 0.1)


def row(method: str, score: Estimate) -> Judged:
    return Judged(method, "", score, Estimate(0.25, 0.2, 0.3), Estimate(1.5, 1, 2), Estimate(0.1, 0, 0.2))


def test_the_best_method_is_on_top_and_names_are_escaped() -> None:
    page = html.table(Asked(4, 8, 0.2, None, (row("<b>low</b>", AT_CHANCE), row("high", UP))))
    assert page.index("high") < page.index("&lt;b&gt;low") and "<b>low" not in page
    assert "0.50 (0.40 to 0.60)" in page and "+150%" in page and "guessing reaches 20%" in page
    assert texts.NOTHING not in page


def test_where_no_method_is_better_than_chance_it_says_so() -> None:
    assert texts.NOTHING in html.table(Asked(4, 8, 0.2, None, (row("one", AT_CHANCE), row("two", AT_CHANCE))))


def test_what_a_collections_own_method_reaches_stands_at_the_top() -> None:
    found = CounterfactualEvidence.open(Settings().collection)
    assert found is not None
    said = html.head(found, "pocket-clip-rgb, channel")
    share = found.made.of("pocket-clip-rgb, channel", "share")
    assert share is not None and f"score {share.lds.value:.2f}" in said
    assert "score" not in html.head(found, "a method that was not measured")


def test_words_of_a_collection_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = CounterfactualEvidence.open(Settings().collection)
    assert found is not None
    fake_collection(tmp_path / "shapes", 12)
    services = Services.open(Settings(collection=tmp_path / "shapes"))
    monkeypatch.setitem(vars(services), "counterfactual", replace(found, date="<script>"))
    with gr.Blocks() as page:
        left_out.build(services, Session(services))
    shown = "".join(str(block.value) for block in page.blocks.values() if isinstance(block, gr.HTML))
    assert "&lt;script&gt;" in shown and "<script>" not in shown
