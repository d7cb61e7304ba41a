"""A recipe that is meant to recite less: another seed, and the subject alone."""

from __future__ import annotations

import pytest

from attribution_core.analyses.memorization.less_like import less_like
from attribution_core.generation.recipe import Recipe


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("beetle, noto style", "beetle"),
        ("beetle, animal, noto style", "beetle"),
        ("beetle", "beetle"),
        (", style", ", style"),
        ("", ""),
    ],
)
def test_only_words_and_seed_change(prompt: str, words: str) -> None:
    before = Recipe(prompt, 7, 12, 3.5, "g", "f" * 64)
    assert less_like(before, 9) == Recipe(words, 9, 12, 3.5, "g", "f" * 64)
