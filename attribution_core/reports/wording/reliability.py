"""How far shares of a size can be relied on, in one sentence, from what was measured where the answer was known."""

from __future__ import annotations

import numpy as np

from attribution_core.attribution.result import Attribution
from attribution_core.common.text import rounded_percent
from attribution_core.evidence.benchmark import Calibrated, Evidence

UNSEEN_THINGS = "test_unseen_concept"
"""The test case that is nearest to what people draw: things, by models that no method learned from."""
_ENOUGH = 20  # candidates in a bin, for its figure to be told


def reliability_of(result: Attribution, evidence: Evidence | None) -> str:
    """How far the strongest share can be relied on; "" where that was not measured for its method."""
    measured = [
        calibrated
        for known in (evidence.methods if evidence is not None else ())
        if known.name == result.method
        for calibrated in known.calibrated
        if calibrated.case == UNSEEN_THINGS
    ]
    share = result.works[0].influence
    return reliability_words(measured[0], share, "things new to the method") if measured else ""


def reliability_words(measured: Calibrated, share: float, what: str) -> str:
    """Say how often images with about this share were right; "" where too few of them were measured.

    measured: of the method, on one test case. share: in [0, 1]. what: the test case in words.
    """
    bins = measured.after
    inside = np.flatnonzero((bins.low <= share) & (share < bins.high) & (bins.count >= _ENOUGH))
    if not len(inside):
        return ""
    k = int(inside[0])
    right = round(float(bins.observed[k] * bins.count[k]))
    return (
        f"How reliable is that? Of {bins.count[k]:,} images with a share near {rounded_percent(share)}, {right:,} were "
        f"right where the answer was known ({what})."
    )
