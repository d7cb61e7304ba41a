"""The share card: its size, what is drawn on it, and texts of any kind and length."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.reports import card as module
from attribution_core.reports.card import SIZE, share_card
from tests.support.fakes import fake_collection, shape_image


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return fake_collection(tmp_path_factory.mktemp("card") / "shapes", n=60)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is drawn."""
    texts: list[str] = []
    draw = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, at: object, words: str, *rest: object, **more: object) -> None:
        texts.append(words)
        draw(self, at, words, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return texts


def result(shapes: Collection, made_by: MadeBy) -> Attribution:
    return Attributor(shapes).attribute(shape_image(7), 50, made_by=made_by)


def test_it_shows_the_image_its_sources_their_makers_and_the_rest(
    shapes: Collection, written: list[str]
) -> None:
    attribution = result(shapes, MadeBy.THIS_GENERATOR)
    card = share_card(
        shape_image(7), attribution, shapes.corpus, title="seven", address="https://example.org/?seed=7"
    )
    assert (card.size, card.mode) == (SIZE, "RGB")
    text = "\n".join(written)
    for work in attribution.works[:4]:
        credit = attribution.credits[work.places[0]]
        assert credit.caption in text and f"by {credit.creator} · {credit.licence}" in text
    assert "“seven”" in text and "https://example.org/?seed=7" in text
    assert "All other training images together" in text and "no proof of cause" in text
    picture = np.asarray(card.crop((60, 60, 460, 460)).resize((64, 64))).astype(int)
    assert np.abs(picture - np.asarray(shape_image(7))[2:-2, 2:-2].mean()).mean() < 120, "the image is there"


def test_without_shares_it_shows_similarities(shapes: Collection, written: list[str]) -> None:
    share_card(shape_image(7), result(shapes, MadeBy.UNKNOWN), shapes.corpus, title="seven")
    text = " ".join(written)
    assert "similarity 1.00" in text and "%" not in text
    assert "The most similar training image" in text and "not shares of influence" in text


@pytest.mark.parametrize(
    "words", ["", "W" * 5000, "long words " * 500, "тест 测试 🦊", "a\nb\u202ec\x00d", "<b>&"]
)
def test_any_text_stays_on_the_card(shapes: Collection, written: list[str], words: str) -> None:
    attribution = result(shapes, MadeBy.SAID_SO)
    credits = tuple(
        dataclasses.replace(c, caption=words, creator=words, licence=words) for c in attribution.credits
    )
    attribution = dataclasses.replace(attribution, credits=credits)
    card = share_card(shape_image(7), attribution, shapes.corpus, title=words, address=words)
    assert card.size == SIZE
    assert all("\n" not in text and "\u202e" not in text for text in written)
    edge = np.asarray(card)[:, -20:]
    assert (edge == 255).all(), "nothing runs over the right edge"


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000)])
def test_any_image_fits(shapes: Collection, size: tuple[int, int]) -> None:
    card = share_card(Image.new("RGB", size), result(shapes, MadeBy.SAID_SO), shapes.corpus, title="x")
    assert card.size == SIZE


def test_the_fonts_come_with_their_licence() -> None:
    folder = Path(module.__file__).parent / "fonts"
    assert "SIL Open Font License" in (folder / "OFL.txt").read_text(encoding="utf-8")
