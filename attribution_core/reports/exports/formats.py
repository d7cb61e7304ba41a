"""What a collection is exported as: a table of formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from attribution_core.reports.exports.croissant import croissant
from attribution_core.reports.exports.datacard import datacard
from attribution_core.reports.exports.facts import CollectionFacts
from attribution_core.reports.exports.training_summary import summary_markdown, summary_page


class ExportAs(StrEnum):
    """Formats of the command `export`."""

    CROISSANT = "croissant"
    DATACARD = "datacard"
    TRAINING_SUMMARY = "training-summary"


@dataclass(frozen=True)
class ExportFile:
    """One file of a format. label: for people. name: of the file, by default. write: gives its text."""

    label: str
    name: str
    write: Callable[[CollectionFacts], str]


EXPORTS: dict[ExportAs, tuple[ExportFile, ...]] = {
    ExportAs.CROISSANT: (ExportFile("Croissant (JSON-LD)", "croissant.json", croissant),),
    ExportAs.DATACARD: (ExportFile("Data card (Markdown)", "README.md", datacard),),
    ExportAs.TRAINING_SUMMARY: (
        ExportFile("Training summary (Markdown)", "training-summary.md", summary_markdown),
        ExportFile("Training summary (HTML)", "training-summary.html", summary_page),
    ),
}
"""Of several files of a format, the ending of the output's name chooses."""
