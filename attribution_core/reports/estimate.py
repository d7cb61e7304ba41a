"""An attribution as JSON for a picture's signed content credentials."""

from __future__ import annotations

from typing import Any

from attribution_core.attribution.result import Attribution
from attribution_core.reports.meaning import CAVEAT

LISTED = 10
"""Training images that are named."""
_NAMED = ("id", "caption", "creator", "licence", "link", "influence", "low", "high")


def estimate_of(attribution: Attribution) -> dict[str, Any] | None:
    """Return method, temperature, and the strongest training images with their shares; None without shares."""
    if not attribution.has_shares:
        return None
    full = attribution.to_dict()
    return {
        "statement": f"This is an estimate, not a record of what was used. {CAVEAT}",
        "method": attribution.method,
        **{name: full[name] for name in ("collection", "encoder", "n_training", "temperature")},
        "top": [{name: row[name] for name in _NAMED} for row in full["top"][:LISTED]],
        "rest": 1.0 - sum(row["influence"] for row in full["top"][:LISTED]),
    }
