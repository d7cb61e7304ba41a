"""The paper's published numbers, for comparison with those measured here."""

from __future__ import annotations

import csv
from pathlib import Path

_TABLE = Path(__file__).resolve().parent / "paper_table2.csv"


def paper_table() -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of Table 2 of the paper's supplement, as text."""
    lines = _TABLE.read_text(encoding="utf-8").splitlines()
    header, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    return header, rows
