"""The HTML of a scan for copies: one page without scripts that loads nothing, as the report of an attribution."""

from __future__ import annotations

from attribution_core.reports.render import render
from attribution_core.reports.scan import Scan
from attribution_core.reports.wording import verdict


def scan_page(scan: Scan) -> str:
    """One HTML page that needs nothing else: no script, no other file, no network."""
    return render(
        "scan.html.j2",
        title=f"Copies of training images of {scan.collection}",
        scan=scan,
        returned_sentence=verdict.returned_sentence,
        verdict_how=verdict.verdict_how,
        verdict_sentence=verdict.verdict_sentence,
        verdict_title=verdict.verdict_title,
        verdicts_sentence=verdict.verdicts_sentence,
    )
