"""That an image may not show what its prompt asks for."""

from __future__ import annotations

from attribution_core.attribution.finding import UNNAMED_SHARE, named_share
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import rounded_percent

_LONGEST = 40  # characters of a prompt that are repeated


def doubt_words(result: Attribution, prompt: str) -> str:
    """The doubt in two sentences; "" where works that the prompt names hold enough of the influence."""
    share = named_share(result, prompt)
    if share is None or share >= UNNAMED_SHARE:
        return ""
    thing = prompt.split(",", 1)[0].strip()
    shown = f"“{thing}”" if len(thing) <= _LONGEST else "what was asked for"
    return (
        f"The image may not show {shown}: under {rounded_percent(UNNAMED_SHARE)} of its influence comes from training "
        "images with such words. Another seed or style may do better."
    )
