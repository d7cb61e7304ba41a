"""Numbers as people read them, and what a score means: the same words in the app, in reports and in the README."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

MEANING = (
    "A score is an estimated influence: how much of the softmax an image holds, on a scale fitted to images whose "
    'influence is known by construction. Read it as "of all training images, these resemble the result in the way '
    'that influential ones did when we knew the answer".',
    "It is not proof of cause. It does not say that the result would look different had the image not been in the "
    "training set. When that question was tested by training again without the images (Wang, Hertzmann, Efros, Zhu "
    "and Zhang, NeurIPS 2024), features tuned as above barely beat plain DINO features. A score is no legal finding "
    "of copying either, and no basis for paying anybody by itself.",
)
"""What a score is and is not, one paragraph each; a test holds them against the README."""
LIMITS = (
    "Similar is not influential: two nearly identical training images share one influence.",
    "A share depends on the whole training set, the encoder and the temperature. Shares of different collections "
    "cannot be compared.",
    "The scale is fitted on models tuned on one image, where the influence is strong. For an image from a plain "
    'prompt the influence is usually spread thin, and "no training image stands out" is a common and honest answer.',
    "An interval covers what the search left unlisted. It does not cover the error of the method itself.",
)
"""What to keep in mind beside every share, likewise."""


def percent(share: float) -> str:
    """A share for people: two digits that matter, never a false 0 or 100%."""
    if share < 0.0001:
        return "< 0.01%"
    return f"{share:.2%}" if share < 0.1 else f"{min(share, 0.999):.1%}"


def listing(parts: Iterable[str], joined: str = "and") -> str:
    """At least one part as a sentence lists them: "a, b and c"."""
    *most, last = parts
    return f"{', '.join(most)} {joined} {last}" if most else last


def web_link(link: str, name: str = "", *, new_tab: bool = False) -> str:
    """A stranger's link as HTML, by its address or a name (HTML already); what is no web address stays text."""
    shown = escape(link, quote=True)
    if not link.lower().startswith(("https://", "http://")):
        return shown
    target = 'target="_blank" ' if new_tab else ""
    return f'<a href="{shown}" {target}rel="noopener noreferrer">{name or shown.split("//", 1)[-1]}</a>'
