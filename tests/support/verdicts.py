"""Verdicts on memorization, by hand."""

from __future__ import annotations

import numpy as np

from attribution_core.analyses.memorization.copies import Threshold
from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.corpus.credit import Credit

LIMIT = Threshold(0.8, 0.9, 0.6, "images by hand")


CREDIT = Credit(
    id="a/1",
    short_caption="red <b>circle</b>",
    creator="Ada",
    licence="CC0-1.0",
    link="https://example.org/1",
)


def verdict(*similarity: float, threshold: Threshold | None = LIMIT, first: int = 3) -> Verdict:
    ids = np.arange(first, first + len(similarity), dtype=np.int64)
    return Verdict(ids, np.array(similarity, dtype=np.float32), CREDIT, "pocket-sscd", threshold, 1200)
