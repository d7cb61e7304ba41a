"""The text side of pocket-clip, as it ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attribution_core.encoding.encoders import ENCODERS
from attribution_core.encoding.text import TEXT_SIDES, TextEncoder, load_text_encoder
from attribution_core.errors import CheckpointError, UnknownNameError


@pytest.mark.parametrize("name", TEXT_SIDES)
def test_words_of_one_meaning_are_nearer_than_others(name: str) -> None:
    rows = load_text_encoder(name).encode(["automobile", "car", "rabbit"])
    assert rows.shape == (3, ENCODERS[name].dim) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


def test_a_text_does_not_depend_on_its_neighbours_and_colours_are_left_open() -> None:
    encoder = load_text_encoder("pocket-clip-rgb")
    both = encoder.encode(["car", "a red car that stands before a large house with a green door"])
    np.testing.assert_allclose(encoder.encode(["car"])[0], both[0], atol=1e-5)
    assert not both[:, ENCODERS["pocket-clip"].dim :].any()
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_rows_are_filled_up_to_the_images_length() -> None:
    made = TextEncoder("any", 4, lambda texts: np.full((len(texts), 2), 3, dtype=np.float32)).encode(["a"])
    np.testing.assert_allclose(made, [[0.5**0.5, 0.5**0.5, 0, 0]], rtol=1e-6)


def test_an_encoder_without_a_text_side_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown encoder with a text side 'pocket-sscd'"):
        load_text_encoder("pocket-sscd")
    with pytest.raises(CheckpointError, match="text.safetensors' is missing"):
        load_text_encoder("pocket-clip", tmp_path)
    with pytest.raises(CheckpointError, match="text_encoder' is missing"):
        load_text_encoder("pocket-clip", states=tmp_path)
