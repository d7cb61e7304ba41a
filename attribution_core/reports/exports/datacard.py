"""A collection as a data card: Markdown with the YAML head of the Hugging Face hub's dataset cards."""

from __future__ import annotations

import json
import re
from typing import Any

from attribution_core.common.text import listing
from attribution_core.reports.exports.facts import TRAIN, CollectionFacts
from attribution_core.reports.exports.markdown import plain, table

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
_LICENCES = frozenset(
    "afl-3.0 agpl-3.0 apache-2.0 bsd-2-clause bsd-3-clause cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 "
    "cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 "
    "cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 gpl-2.0 gpl-3.0 isc lgpl-3.0 mit mpl-2.0 odbl odc-by pddl "
    "unlicense wtfpl zlib".split()
)
"""Names that the hub knows."""
_SHOWN = 20  # rows of a table
UNKNOWN = "Not known."


def datacard(facts: CollectionFacts) -> str:
    """Markdown text; what the collection does not know is said so. It belongs into the collection's folder."""
    head = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in _head(facts).items())
    sides = facts.sides
    sections = [
        f"# {plain(facts.name)}",
        plain(facts.said("what")) or UNKNOWN,
        f"{facts.images:,} training images{_sides(sides)}.",
        "## Columns",
        f"Each row is one image, with {listing(('image', *facts.columns))}.",
        "## Licences",
        plain(facts.said("licence")),
        _counts(facts, "licence"),
        "## Makers",
        _counts(facts, "creator"),
        "## Sources",
        _sources(facts),
        _counts(facts, "source"),
        "## Processing",
        _processing(facts),
        "## Dates, contact and personal data",
        "\n".join(
            f"- {label}: {plain(facts.said(key)) or UNKNOWN}"
            for label, key in (
                ("Collected", "collected"),
                ("Published by", "provider"),
                ("Contact", "contact"),
                ("Languages of the captions", "languages"),
                ("Personal data", "personal_data"),
            )
        ),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(filter(None, sections)) + "\n"


def _head(facts: CollectionFacts) -> dict[str, Any]:
    """Keys of the head. JSON is YAML, too, and quotes whatever a name may hold."""
    names = [name.lower().replace(" ", "-") for name, _ in facts.counted("licence")]
    known = [name for name in dict.fromkeys(names) if name in _LICENCES]
    other = len(known) < len(set(names)) or bool(facts.without("licence")) or not known
    folder = facts.corpus.path.relative_to(facts.layout.folder).as_posix()
    languages = re.findall(r"[a-z]{2,3}\b", facts.said("languages").lower())
    return {
        "pretty_name": facts.name,
        "license": [*known, "other"] if other else known,
        **({"language": languages} if languages else {}),
        "size_categories": [next((name for most, name in _SIZES if facts.images < most), "n>1T")],
        "tags": ["image", "attribution", "croissant"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": TRAIN, "path": f"{folder}/{TRAIN}-*.parquet"}],
            }
        ],
    }


def _sides(sides: tuple[int, int] | None) -> str:
    if sides is None:
        return ""
    low, high = sides
    return f", sides of {low:,} px" if low == high else f", sides of {low:,} to {high:,} px"


def _counts(facts: CollectionFacts, column: str) -> str:
    counted = facts.counted(column)
    if not counted:
        return UNKNOWN
    words = [table([column, "images"], counted[:_SHOWN])]
    if len(counted) > _SHOWN:
        words.append(f"... and {len(counted) - _SHOWN:,} more.")
    if missing := facts.without(column):
        words.append(f"Not stated for {missing:,} images.")
    return "\n\n".join(words)


def _sources(facts: CollectionFacts) -> str:
    if not facts.sources:
        return ""
    rows = [(s.name, s.version, s.creator, s.licence, s.link) for s in facts.sources]
    return table(["source", "version", "creator", "licence", "link"], rows)


def _processing(facts: CollectionFacts) -> str:
    parts = [facts.opt_outs, facts.near_duplicates]
    if facts.skipped:
        total = sum(count for _, count in facts.skipped)
        parts += [
            f"{total:,} files could not be used:",
            table(["reason", "images"], facts.skipped[:_SHOWN]),
        ]
    return "\n\n".join(filter(None, parts)) or UNKNOWN
