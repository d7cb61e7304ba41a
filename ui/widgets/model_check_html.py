"""Words, table and pictures of the fold “Check this model”."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PIL import Image

from attribution_core.analyses.memorization.model_check import CheckedImage
from attribution_core.reports.model_check import ModelCheck
from attribution_core.reports.scan import ScannedImage
from attribution_core.reports.wording import model_check as wording
from attribution_core.reports.wording.verdict import verdict_how
from ui.services.model_check import MOST_IMAGES
from ui.widgets import memorization_texts as texts
from ui.widgets.pairs import pairs_of

_PAIRS = 12  # of a copy and the training image
_CLOSEST = 4  # pairs where nothing is a copy


def estimate(images: int, seconds: float | None) -> str:
    """How much a check draws, and how long that takes."""
    if images > MOST_IMAGES:
        return f"{images} images; at most {MOST_IMAGES} are drawn here."
    count = f"{images} image{'s' * (images != 1)}"
    return f"{count}." if seconds is None else f"{count}, about {max(1, round(seconds))} seconds."


def stopped(images: Sequence[CheckedImage]) -> str:
    """What is left of a check that was stopped."""
    return texts.CHECK_KEPT if images else texts.CHECK_STOPPED


def result(check: ModelCheck) -> str:
    """The answer in a sentence, how often, and copies beside the training images, the closest first."""
    kind = "copy" if check.came else "found"
    rows = "".join(
        f"<tr><td>{html.escape(rate.name)}</td><td>{rate.prompts:,}</td><td>{rate.images:,}</td>"
        f"<td>{html.escape(wording.rate_words(rate.copies))}</td>"
        f"<td>{'–' if rate.signal is None else f'{rate.signal:.2f}'}</td></tr>"
        for rate in check.rates
    )
    heads = "".join(f"<th>{head}</th>" for head in texts.CHECK_COLUMNS)
    copies = [item for item in check.scan.items if item.verdict.is_copy]
    shown = copies[:_PAIRS] or list(check.scan.items[:_CLOSEST])
    left = (
        f"<p class='status'>{texts.CHECK_MORE.format(count=len(copies) - _PAIRS)}</p>"
        if len(copies) > _PAIRS
        else ""
    )
    pulled = any(rate.signal is not None for rate in check.rates)
    signal = f"<p class='status'>{wording.SIGNAL_MEANS}</p>" if pulled else ""
    precision = wording.check_precision(check.scan.verdicts)
    return (
        f'<div class="headline {kind}"><h2>{html.escape(wording.check_sentence(check.scan.verdicts))}</h2>'
        f"{precision and f'<p>{precision}</p>'}</div>"
        f'<div class="scrolled"><table class="plain"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        + signal
        + f"<h3>{texts.CHECK_COPIES if copies else texts.CHECK_CLOSEST}</h3>"
        + pairs_of(_pair(check, item) for item in shown)
        + left
        + f"<p class='status'><b>{texts.HOW}</b> {html.escape(verdict_how(check.scan.verdicts[0]))} "
        f"{html.escape(wording.MEANS)}</p>"
    )


def _pair(
    check: ModelCheck, item: ScannedImage
) -> tuple[str, tuple[Image.Image, str], tuple[Image.Image, str]]:
    credit = item.verdict.credit
    return (
        item.title,
        (item.image, "drawn by the model"),
        (check.scan.match(item.verdict), f"{credit.title_and_maker}: {item.verdict.similarity[0]:.3f}"),
    )
