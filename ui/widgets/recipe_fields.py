"""The four fields that repeat an image: prompt, seed, steps and guidance scale."""

from __future__ import annotations

from typing import Any

import gradio as gr

from attribution_core.generation.recipe import MAX_SEED, Recipe

SEEDS = min(2**31 - 1, MAX_SEED)  # a 32-bit number: what the field of every browser keeps exactly
STEPS, GUIDANCE = (1, 50), (1.0, 10.0)


def filled_in(recipe: Recipe) -> list[Any]:
    """The four fields with a recipe; those whose range is too narrow for it are widened."""
    low, high = GUIDANCE
    return [
        recipe.prompt,
        recipe.seed if recipe.seed <= SEEDS else gr.update(value=recipe.seed, maximum=MAX_SEED),
        recipe.steps if recipe.steps <= STEPS[1] else gr.update(value=recipe.steps, maximum=recipe.steps),
        recipe.guidance
        if low <= recipe.guidance <= high
        else gr.update(
            value=recipe.guidance, minimum=min(low, recipe.guidance), maximum=max(high, recipe.guidance)
        ),
    ]


def widened(span: tuple[float, float], value: float) -> tuple[float, float]:
    """A slider's range, widened where a generator's own value lies outside: turbo models draw without guidance."""
    return min(span[0], value), max(span[1], value)


def whole_number(value: Any) -> int:
    """What a number field sends, 5.0 for 5; anything else as it is, for the library to refuse."""
    return int(value) if isinstance(value, (int, float)) and float(value).is_integer() else value
