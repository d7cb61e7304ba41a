"""The part By patches, without a browser."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from attribution_core.analyses.patches import PatchAttribution
from attribution_core.corpus.corpus import Corpus
from attribution_core.evidence.counterfactual import CounterfactualEvidence
from attribution_core.settings import Settings
from tests.support.fakes import fake_collection
from ui.services.app import Services
from ui.session import Session
from ui.tabs import patches
from ui.widgets import patches_html as html


def test_an_image_is_seen_where_it_weighs_and_faint_elsewhere() -> None:
    weight = np.zeros((4, 4), np.float32)
    weight[:, 2:] = 0.5
    seen = np.asarray(html.spotlit(Image.new("RGB", (40, 40), "black"), weight))
    assert seen[20, 38].max() < 10 and seen[20, 2].min() > 200
    dark = np.asarray(html.spotlit(Image.new("RGB", (40, 40), "black"), np.zeros((4, 4), np.float32)))
    assert dark.min() > 200


def test_what_is_found_is_named_with_its_weight_and_the_rest(tmp_path: Path) -> None:
    corpus: Corpus = fake_collection(tmp_path / "shapes", 12).corpus
    maps = np.full((2, 32, 32), 0.25, np.float32)
    result = PatchAttribution(np.array([4, 7]), np.array([0.5, 0.25]), maps)
    page = html.found(result, Image.new("RGB", (64, 48), "red"), corpus)
    assert page.count("<img") == 4
    assert "weight 50.0%" in page and "All other 10 training images together: 25.0%" in page
    assert corpus.credit(4).description in page


def test_the_head_says_what_was_measured() -> None:
    evidence = CounterfactualEvidence.open(Settings().collection)
    assert evidence is not None
    row = next(row for row in evidence.made.methods if row.method == "patches")
    assert f"{row.lds.value:.2f}" in html.head(evidence) and "predict" in html.head(evidence)
    assert "predict" not in html.head(None)


def test_too_many_training_images_are_said_and_not_that_there_is_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_collection(tmp_path / "shapes", 12)
    services = Services.open(Settings(collection=tmp_path / "shapes"))
    monkeypatch.setattr(patches, "MOST", 11)
    with gr.Blocks() as page:
        patches.build(services, Session(services))
    said = [block.value for block in page.blocks.values() if block.elem_id == "patches-found"]
    assert "11 training images at most" in said[0] and "there are 12" in said[0] and not page.fns
