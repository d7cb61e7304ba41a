"""The HTML of a scan for copies: one page without scripts that loads nothing, as the report of an attribution."""

from __future__ import annotations

from html import escape

from attribution_core.common.images import data_uri
from attribution_core.common.text import web_link
from attribution_core.reports.html import document, how
from attribution_core.reports.scan import Scan, ScannedImage
from attribution_core.reports.wording.verdict import (
    returned_sentence,
    verdict_how,
    verdict_sentence,
    verdict_title,
    verdicts_sentence,
)

_PICTURE = 200  # px


def scan_page(scan: Scan) -> str:
    """One HTML page that needs nothing else: no script, no other file, no network."""
    title = f"Copies of training images of {scan.collection}"
    cards = "".join(_item(item, scan) for item in scan.items)
    prompts = "".join(
        f"<li>{escape(returned_sentence(r))} <span class='how'>“{escape(prompt)}”</span></li>"
        for prompt, r in scan.prompts().items()
    )
    return document(
        title,
        (
            f"<h1>{escape(title)}</h1><p class='how'>{escape(scan.made)}</p>"
            f'<div class="verdict{"" if scan.copies else " spread"}">'
            f"<strong>{escape(verdicts_sentence(scan.verdicts))}</strong>"
            f"{how(verdict_how(scan.verdicts[0]))}</div>"
            + (f"<h2>Prompt by prompt</h2><ul>{prompts}</ul>" if prompts else "")
            + (how(scan.signal_how) if scan.signal_how else "")
            + f"<h2>Image by image, the closest first</h2>{cards}"
        ),
    )


def _item(item: ScannedImage, scan: Scan) -> str:
    verdict, credit = item.verdict, item.verdict.credit
    match = scan.match(verdict)
    told = [
        escape(verdict_sentence(verdict)),
        f"Drop-off {verdict.drop.size:.3f} after {verdict.drop.after}"
        + (f" · noise signal {item.signal.mean:.2f}" if item.signal else ""),
        escape(" · ".join(filter(None, (credit.creator, credit.licence, credit.source)))),
        web_link(credit.link),
    ]
    shown = ((item.image, "the image"), (match, "the closest"))
    pictures = "".join(
        f'<figure><img src="{data_uri(image, _PICTURE)}" alt="{escape(words)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
        for image, words in shown
    )
    return (
        f"<h3>{escape(item.title)}: {escape(verdict_title(verdict))}</h3><div class='pictures'>{pictures}<div>"
        + "".join(f"<p>{line}</p>" for line in told if line)
        + "</div></div>"
    )
