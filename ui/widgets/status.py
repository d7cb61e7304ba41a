"""One line that says how things are, and the bar of work that takes seconds."""

from __future__ import annotations

import html

from attribution_core.attribution.result import Attribution
from attribution_core.common.progress import Progress


def status_line(words: str) -> str:
    """The line, read aloud by screen readers when it changes."""
    return f'<p class="status" role="status">{html.escape(words)}</p>'


NOTHING_YET = "Nothing attributed yet. Generate or upload an image on the first tab."
NO_SHARES = (
    "No shares for this image: nothing shows that a model trained on these images made it. If one did, say so under "
    "Attribution."
)


def no_shares(result: Attribution | None) -> str:
    """Why a tab that shows shares has none to show."""
    return f'<p class="sentence">{NOTHING_YET if result is None else NO_SHARES}</p>'


def progress_bar(step: Progress) -> str:
    """How far the work is, and the time that is left."""
    done = step.fraction
    left = "" if step.seconds_left is None else f", about {max(1, round(step.seconds_left))} seconds left"
    text = f"{step.stage.capitalize()}: {done:.0%}{left}"
    return (
        f'<div class="rest"><div class="track" role="progressbar" aria-label="{html.escape(step.stage)}" '
        f'aria-valuenow="{100 * done:.0f}" aria-valuemin="0" aria-valuemax="100"><div class="fill" '
        f'style="width:{done:.1%}"></div></div><p><span>{html.escape(text)}</span></p></div>'
    )
