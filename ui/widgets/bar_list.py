"""Shares as a list of bars with their names, which stays legible on a narrow screen."""

from __future__ import annotations

import html
from collections.abc import Sequence

from attribution_core.common.text import rounded_percent


def bar_list(shares: Sequence[tuple[str, float]], rest: tuple[str, float]) -> str:
    """The bars, relative to the longest, and everything else in grey. shares: (name, share)."""
    longest = max(*(share for _, share in shares), rest[1], 1e-12)
    rows = "".join(_row(name, share / longest, share, "") for name, share in shares)
    return f'<ol class="bars">{rows}{_row(rest[0], rest[1] / longest, rest[1], "grey")}</ol>'


def _row(name: str, part: float, share: float, kind: str) -> str:
    return (
        f"<li><span>{html.escape(name)}</span><b>{rounded_percent(share)}</b>"
        f'<i class="{kind}" style="--part:{part:.3f}"></i></li>'
    )
