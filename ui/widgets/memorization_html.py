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
from ui.widgets import memorization_texts as texts
from ui.widgets.status import status_line


def how(words: str) -> str:
    """What an answer is based on. words: text."""
    return f"<p class='status'><b>{texts.HOW}</b> {html.escape(words)}</p>"


def impossible(why: str) -> str:
    """Why this collection gives no verdicts."""
    words = html.escape(why[:1].upper() + why[1:])
    return f'<div class="headline spread"><h2>{texts.IMPOSSIBLE}</h2><p>{words}</p></div>'


def headline(query: Query, verdict: Verdict, evidence: MemorizationEvidence | None) -> str:
    """The verdict, and what it is based on. evidence: of the collection's own generator."""
    kind = {True: "copy", False: "found", None: "spread"}[verdict.is_copy]
    is_apart = (
        evidence is not None
        and verdict.is_copy is False
        and evidence.stands_apart(verdict.drop.after, verdict.drop.size)
    )
    but = texts.STANDS_APART if is_apart else ""
    return (
        f'<div class="headline {kind}" aria-live="polite"><h2>{html.escape(verdict_title(verdict))}</h2>'
        f"<p>Image: “{html.escape(query.title)}”. {html.escape(verdict_sentence(verdict) + but)}</p></div>"
        + how(verdict_how(verdict))
        + (f"<p class='status'>{html.escape(detection_how(evidence))}</p>" if evidence else "")
    )


def blink(first: Image.Image, second: Image.Image, first_alt: str, second_alt: str) -> str:
    """Two images by turns; still until asked, because what blinks by itself cannot be read beside.

    first_alt, second_alt: what is in them, text.
    """
    return (
        f'<div class="blink"><label><input type="checkbox"> {texts.BLINK}</label>'
        f'<div class="stack"><img src="{data_uri(first, SIDE)}" alt="{html.escape(first_alt)}">'
        f'<img src="{data_uri(second, SIDE)}" alt="{html.escape(second_alt)}"></div></div>'
    )


def alignment_line(alignment: Alignment) -> str:
    """How the training image was laid over the query, and how far both differ then."""
    before = f"; before, by {alignment.rms_before:.0f}" if alignment.moved else ""
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
            f" Half of all images from planted prompts have a drop-off of {planted.drop:.3f} or more. Of images from "
            f"other training prompts, 95% stay below {evidence.copies.groups['training'].drop_95:.3f}."
        )
    return f"<p class='status'>{html.escape(text)}</p>" + how(texts.HOW_DROP_OFF)


def signal_words(query: Query | None, evidence: MemorizationEvidence | None) -> str:
    """How strong the query's noise signal is. evidence: of the generator that made it."""
    signal = None if query is None else query.noise_signal
    if query is None or signal is None:
        head, text = texts.NO_SIGNAL, texts.WHEN_RECORDED
    else:
        head = f"How hard the prompt pulled: a noise signal of {signal.mean:.2f}"
        text = texts.NOT_MEASURED
        if evidence is not None:
            text, recipe = signal_sentence(evidence.signals, signal), query.recipe
            if recipe is not None and (recipe.steps, recipe.guidance) != evidence.signals.at:
                text += (
                    f" This image was drawn with {recipe.steps} steps and guidance {recipe.guidance:g}, so the "
                    "comparison is rough."
                )
    return f"<h3>{html.escape(head)}</h3><p>{html.escape(text)}</p>" + how(signal_how(evidence))
