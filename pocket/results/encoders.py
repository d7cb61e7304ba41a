"""The section on the encoders that work offline."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pocket.encoders.report import NEAREST, PRECISION, REPORT
from pocket.results.tables import percent, table


def section() -> Iterator[str]:
    """The section's lines."""
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    yield (
        "The encoders that work offline, on images that none of them was trained on (`python -m "
        f"pocket.encoders.report`). Copy detection: {report['what']}."
    )
    yield ""
    yield from table(
        (
            "encoder",
            "copy detection, average precision",
            f"recall of copies at precision {PRECISION:.0%}".replace("%", " %"),
            f"same object among the {NEAREST} nearest",
            "own caption ranked first, of all",
        ),
        (
            (
                name,
                f"{scores['copies']['average_precision']:.3f}",
                percent(scores["copies"]["recall"]),
                percent(scores[f"concept among the {NEAREST} nearest"]),
                f"{percent(scores['captions']['recall@1'])} of {scores['captions']['captions']:,}"
                if "captions" in scores
                else "",
            )
            for name, scores in report["encoders"].items()
        ),
    )
