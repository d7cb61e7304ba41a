"""Pictures and tables of the part Left out of the tab Evidence."""

from __future__ import annotations

import html
from collections.abc import Iterable

from PIL import Image

from attribution_core.common.estimates import Estimate
from attribution_core.evidence.counterfactual import Asked, CounterfactualEvidence
from ui.widgets import left_out_texts as texts
from ui.widgets.pairs import pairs_of


def head(found: CounterfactualEvidence, method: str) -> str:
    """What was done, and what it says of a method's shares."""
    words = texts.HEAD.format(models=found.models, training=f"{found.training:,}")
    share, similarity = (found.made.of(method, setting) for setting in ("share", "similarity"))
    if share and similarity:
        words += texts.FOUND.format(
            method=html.escape(method),
            share=share.lds.value,
            similarity=similarity.lds.value,
            rise=share.rise.value,
            others=share.others.value,
        )
    return f'<div class="headline"><h2>{texts.TITLE}</h2>{words}</div>'


def pairs(shown: Iterable[tuple[str, Image.Image, Image.Image]]) -> str:
    """What was drawn for each prompt, with and without a style in the training set."""
    return pairs_of(
        (prompt, (with_, texts.WITH), (without, texts.WITHOUT)) for prompt, with_, without in shown
    )


def table(asked: Asked) -> str:
    """What every method reached, the best first."""
    columns = "".join(f"<th scope='col'>{name}</th>" for name in texts.COLUMNS)
    lines = "".join(
        f"<tr><th scope='row'>{html.escape(row.name)}</th><td>{row.lds.value:.2f} ({row.lds.low:.2f} to "
        f"{row.lds.high:.2f})</td><td>{row.right.value:.0%}</td><td>{_rise(row.rise)}</td>"
        f"<td>{_rise(row.others)}</td></tr>"
        for row in asked.ranked
    )
    nothing = texts.NOTHING * all(row.lds.low <= 0 <= row.lds.high for row in asked.methods)
    return (
        f"{nothing}{texts.ROWS.format(chance=asked.chance)}<div class='scrolled' tabindex='0' role='region' "
        f"aria-label='{texts.TABLE}'><table class='plain'><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody>"
        "</table></div>"
    )


def _rise(estimate: Estimate) -> str:
    return f"{estimate.value:+.0%}"
