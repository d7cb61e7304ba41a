"""The recipe that measures how often doubt about an image is right."""

from __future__ import annotations

import csv
from collections import Counter

from attribution_core.attribution.finding import UNNAMED_SHARE
from pocket.evidence.shown import LOOKED_AT, counts


def test_images_are_counted_by_what_they_show_and_by_their_share() -> None:
    shows, shares = ("yes", "no", "no", "hardly"), [UNNAMED_SHARE, 0.0, 0.04, 0.02]
    found = counts([{"shows": one} for one in shows], shares)
    assert found["images"] == {"yes": 1, "no": 2, "hardly": 1}
    assert found[f"below {UNNAMED_SHARE:g}"] == {"no": 1, "hardly": 1}
    assert found["below 0.05"] == {"yes": 1, "no": 2, "hardly": 1}


def test_every_image_was_looked_at_once_and_none_serves_both_halves() -> None:
    with LOOKED_AT.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["used"] for row in rows) == {"threshold": 137, "test": 137}
    assert {row["shows"] for row in rows} == {"yes", "hardly", "no"}
    assert len({row["prompt"] for row in rows}) == len(rows)
