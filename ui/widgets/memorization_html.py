"""Words and pictures of the tab Memorization; pictures are written into the page, so that no file is made."""

from __future__ import annotations

import html

from PIL import Image

from attribution_core.analyses.memorization.alignment import Alignment
from attribution_core.analyses.memorization.overlays import SIDE
from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.common.images import data_uri
from attribution_core.evidence.memorization import MemorizationEvidence
from attribution_core.reports.wording.noise_signal import signal_how, signal_sentence
from attribution_core.reports.wording.verdict import (
    alignment_words,
    detection_how,
    verdict_how,
    verdict_sentence,
    verdict_title,
)
from ui.services.app import Query
from ui.widgets.status import status_line

NOTHING = (
    '<div class="headline spread"><h2>Nothing to look at yet</h2><p>Generate an image, or bring one, on the '
    "first tab, or choose a case below.</p></div>"
)
HOW_MAPS = (
    "<b>How do we know?</b> The training image is shifted, scaled and mirrored until the pixels agree best. "
    "The red maps cover one spot after another and ask the copy encoder again: where the similarity falls "
    "most, the likeness lies."
)


def _how(words: str) -> str:
    return f"<p class='status'><b>How do we know?</b> {html.escape(words)}</p>"


def impossible(why: str) -> str:
    """Why this collection gives no verdicts."""
    words = html.escape(why[:1].upper() + why[1:])
    return f'<div class="headline spread"><h2>Copies cannot be told here</h2><p>{words}</p></div>'


def headline(query: Query, verdict: Verdict, evidence: MemorizationEvidence | None) -> str:
    """The verdict, and what it is based on. evidence: of the collection's own generator."""
    kind = {True: "copy", False: "found", None: "spread"}[verdict.is_copy]
    is_apart = (
        evidence is not None
        and verdict.is_copy is False
        and evidence.stands_apart(verdict.drop.after, verdict.drop.size)
    )
    but = " But it stands apart from all others as copies do: look at both below." if is_apart else ""
    return (
        f'<div class="headline {kind}" aria-live="polite"><h2>{html.escape(verdict_title(verdict))}</h2>'
        f"<p>Query: “{html.escape(query.title)}”. {html.escape(verdict_sentence(verdict) + but)}</p></div>"
        + _how(verdict_how(verdict))
        + (f"<p class='status'>{html.escape(detection_how(evidence))}</p>" if evidence else "")
    )


def blink(first: Image.Image, second: Image.Image, name: str) -> str:
    """Two images by turns; still until asked, because what blinks by itself cannot be read beside."""
    return (
        '<div class="blink"><label><input type="checkbox"> Blink: both by turns</label>'
        f'<div class="stack"><img src="{data_uri(first, SIDE)}" alt="This image">'
        f'<img src="{data_uri(second, SIDE)}" alt="{html.escape(name)}, laid over it"></div></div>'
    )


def alignment_line(alignment: Alignment) -> str:
    """How the training image was laid over the query, and how far both differ then."""
    before = f"; {alignment.rms_before:.0f} as they were" if alignment.moved else ""
    return status_line(
        f"The training image was {alignment_words(alignment)}. Pixels then differ by {alignment.rms:.0f} of 255 "
        f"steps on average{before}."
    )


def drop_words(verdict: Verdict, evidence: MemorizationEvidence | None) -> str:
    """The drop-off beside measured ones. evidence: of the generator that made the query."""
    drop = verdict.drop
    text = (
        f"The largest drop-off is {drop.size:.3f}, after {drop.after} "
        f"{'image' if drop.after == 1 else 'images'}."
    )
    planted = evidence.copies.groups.get("planted") if evidence else None
    if evidence and planted:
        text += (
            f" Half of all images of planted prompts have one of {planted.drop:.3f} or more; of images of other "
            f"training prompts 95 % stay below {evidence.copies.groups['training'].drop_95:.3f}."
        )
    return f"<p class='status'>{html.escape(text)}</p>" + _how(
        "The training images stand in the order of their similarity. A copy stands apart from the rest; "
        "where an image is like many others, the curve falls smoothly."
    )


def signal_words(query: Query | None, evidence: MemorizationEvidence | None) -> str:
    """How strong the query's noise signal is. evidence: of the generator that made it."""
    signal = None if query is None else query.noise_signal
    if query is None or signal is None:
        head = "No signal was recorded for this image"
        text = (
            "It is recorded while an image is made here with guidance above 1; this one was stored, was brought "
            "along, or was made without."
        )
    else:
        head = f"The words pulled with a signal of {signal.mean:.2f}"
        text = "Nobody measured yet how strong the signal of memorized prompts of this generator is: no verdict on it."
        if evidence is not None:
            text, recipe = signal_sentence(evidence.signals, signal), query.recipe
            if recipe is not None and (recipe.steps, recipe.guidance) != evidence.signals.at:
                text += (
                    f" This image has {recipe.steps} steps and guidance {recipe.guidance:g}, so that comparison is "
                    "rough."
                )
    return f"<h3>While it was made: {html.escape(head)}</h3><p>{html.escape(text)}</p>" + _how(
        signal_how(evidence)
    )
