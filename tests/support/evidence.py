"""Evidence of memorization, made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attribution_core.collection.layout import CollectionLayout
from attribution_core.evidence.memorization import FILE


def told_evidence(**changes: Any) -> dict[str, Any]:
    rate = {"value": 0.9, "low": 0.8, "high": 1.0}
    group = {"called": 0.1, "drop": 0.3, "drop_95": 0.2}
    return {
        "generator_sha256": "f" * 64,
        "steps": 2,
        "guidance": 3.5,
        "signal": {
            "means": {"planted": [4.0, 5.0], "training": [1.0, 2.0, 3.0, 4.0], "fresh": [1.0]},
            "steps": {"planted": [1.0, 8.0], "training": [1.0, 2.0], "fresh": [0.5, 1.0]},
            "auc": {"training": rate, "fresh": rate},
            "early": {"steps": 1, "means": {"training": [1.0, 2.0]}},
        },
        "copies": {
            "made": {"recall": rate, "precision": rate},
            "made and changed": {"recall": rate},
            "groups": {name: group for name in ("planted", "training", "fresh")},
        },
        **changes,
    }


def write_evidence(folder: Path, told: Any) -> Path:
    file = CollectionLayout(folder).evidence(FILE)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(told if isinstance(told, str) else json.dumps(told))
    return folder
