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
    return reliability_words(measured[0], result.works[0].influence) if measured else ""


def reliability_words(measured: Calibrated, share: float) -> str:
    """Say how often images with about this share were a true source; "" where too few of them were measured.

    measured: of the method, on one test case. share: in [0, 1].
    """
    bins = measured.after
    inside = np.flatnonzero((bins.low <= share) & (share < bins.high) & (bins.count >= _ENOUGH))
    if not len(inside):
        return ""
    k = int(inside[0])
    low, high, observed = float(bins.low[k]), float(bins.high[k]), float(bins.observed[k])
    too = "high" if observed < low else "low" if observed > high else ""
    return (
        f"How reliable is that? We tested models whose source is known: of {bins.count[k]:,} images with a share of "
        f"{rounded_percent(low)} to {rounded_percent(high)}, {rounded_percent(observed)} were the source."
        + (f" So shares of this size come out too {too}." if too else "")
    )
