"""Tiles in place of pictures: neutral, with the words that the font has."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from attribution_core.common.images import kind_of
from attribution_core.corpus.credit import Credit
from attribution_core.corpus.placeholders import SIDE, placeholder, tile


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_tile_is_a_grey_picture_with_its_caption() -> None:
    data = placeholder("a lighthouse at dawn")
    drawn = pixels(data)
    assert kind_of(data) == "png" and drawn.shape == (SIDE, SIDE, 3)
    assert (drawn.std(axis=2) < 15).all(), "no colour that could be taken for the picture's"
    words = drawn[130:270]
    assert words.min() < 120 and pixels(placeholder(""))[130:270].min() > 200
    assert not np.array_equal(drawn, pixels(placeholder("another caption")))


def test_long_captions_end_above_the_label_of_the_gallery() -> None:
    drawn = pixels(placeholder("very long words " * 60))
    assert drawn[275:].min() > 200 and drawn[:, :6].min() > 200 and drawn[:, -6:].min() > 200


def test_letters_that_the_font_lacks_are_left_away() -> None:
    assert placeholder("плакат") == placeholder("") == placeholder("  \n")
    assert placeholder("naïve café") != placeholder("")


def test_what_has_no_caption_is_called_by_its_file() -> None:
    assert tile(Credit("dataset/laion_subset/00000007.png")) == placeholder("00000007.png")
    assert tile(Credit("7", caption="a long caption", short_caption="short")) == placeholder("short")
