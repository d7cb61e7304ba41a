"""How far shares of a size can be relied on, in one sentence, from what was measured where the answer was known."""

from __future__ import annotations

import numpy as np

from attribution_core.common.text import rounded_percent
from attribution_core.evidence.benchmark import Calibrated

_ENOUGH = 20  # candidates in a bin, for its figure to be told


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
