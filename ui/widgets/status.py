"""One line that says how things are, and the bar of work that takes seconds."""

from __future__ import annotations

import html

from attribution_core.common.progress import Progress


def status_line(words: str) -> str:
    """The line, read aloud by screen readers when it changes."""
    return f'<p class="status" role="status">{html.escape(words)}</p>'


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
