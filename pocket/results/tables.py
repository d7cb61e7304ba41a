"""Tables and numbers in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a table."""
    for line in (header, ["---"] * len(header), *rows):
        yield "| " + " | ".join(str(cell) for cell in line) + " |"


def percent(share: float) -> str:
    """With one decimal."""
    return f"{share:.1%}".replace("%", " %")


def interval(estimate: Mapping[str, float] | None, digits: int = 2) -> str:
    """A value with the ends of its interval; blank for None."""
    if estimate is None:
        return ""
    value, low, high = (f"{estimate[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
