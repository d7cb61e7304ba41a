"""Draw an image again so that it recites less of a training image."""

from __future__ import annotations

from dataclasses import replace

from attribution_core.generation.recipe import Recipe


def less_like(recipe: Recipe, seed: int) -> Recipe:
    """Return a recipe with another seed and the prompt's subject alone: its words before the first comma.

    A generator recites to the exact caption that it memorized, so other words recite less (Somepalli et al.,
    *Understanding and Mitigating Copying in Diffusion Models*, NeurIPS 2023). A prompt without a comma keeps its words.
    Lower guidance is no help: with the pocket generator it recites more.
    """
    subject = recipe.prompt.split(",", 1)[0].strip()
    return replace(recipe, prompt=subject or recipe.prompt, seed=seed)
