"""One line that says how things are, and the bar of work that takes seconds."""

from __future__ import annotations

import html
import json

from attribution_core.attribution.result import Attribution
from attribution_core.common.progress import Progress


def status_line(words: str, *, waiting: bool = False) -> str:
    """The line, read aloud by screen readers when it changes.

    waiting: for work; a button in the same row, of class "stoppable", is in sight meanwhile.
    """
    kind = "status waiting" if waiting else "status"
    return f'<p class="{kind}" role="status">{html.escape(words)}</p>'


WAITING = status_line("This starts as soon as the drawing model is free.", waiting=True)
SAY_WAITING = f"() => {json.dumps(WAITING)}"
"""What a click runs in the browser, as its answer waits for the drawing model.

Wired before what it waits for: Gradio runs a click's events one after the other.
"""
NOTHING_YET = "Nothing attributed yet. Generate or upload an image on the first tab."
NO_SHARES = (
    "No shares for this image: nothing shows that a model trained on these images made it. If one did, say so under "
    "Attribution."
)


def say_no_more(instead: str = "") -> str:
    """What runs in the browser when work failed: where the line says that it waits or runs, it says `instead`.

    A stop counts as a failure, too, and has taken the line by then.
    """
    return f'(shown) => /class="(status waiting|track)"/.test(shown) ? {json.dumps(instead)} : shown'


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
