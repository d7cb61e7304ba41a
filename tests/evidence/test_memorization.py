"""What was measured of memorization: a signal is placed, damage is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attribution_core.errors import CheckpointError
from attribution_core.evidence.memorization import MemorizationEvidence
from tests.support.evidence import told_evidence, write_evidence


def test_evidence_places_a_signal(tmp_path: Path) -> None:
    assert MemorizationEvidence.open(tmp_path) is None
    found = MemorizationEvidence.open(write_evidence(tmp_path, told_evidence()))
    assert found is not None
    # 4 is above three of four, and as high as the last.
    assert found.signals.above("training", 4.0) == pytest.approx(3.5 / 4)
    assert found.signals.above("planted", 3.0) == 0 and found.signals.above("fresh", 9) == 1
    assert found.signals.at == (2, 3.5) and found.signals.auc["fresh"].value == 0.9
    assert (found.copies.recall, found.copies.recall_changed, found.copies.precision) == (0.9, 0.9, 0.9)
    assert found.copies.groups["planted"].drop == 0.3
    assert found.stands_apart(1, 0.21) and not found.stands_apart(1, 0.2) and not found.stands_apart(2, 0.5)


@pytest.mark.parametrize(
    "told",
    [
        "no json",
        "[]",
        {},
        told_evidence(steps="many"),
        told_evidence(copies={}),
        told_evidence(copies=told_evidence()["copies"] | {"groups": {}}),
        told_evidence(copies=told_evidence()["copies"] | {"made": {"recall": {"value": "all"}}}),
        told_evidence(signal={"means": {}, "steps": {}, "auc": {}}),
        told_evidence(signal=told_evidence()["signal"] | {"means": {"training": []}}),
        told_evidence(signal=told_evidence()["signal"] | {"auc": {"training": 0.9}}),
        told_evidence(signal=told_evidence()["signal"] | {"early": {"steps": 1, "means": {"training": []}}}),
    ],
)
def test_damaged_evidence_is_said(tmp_path: Path, told: Any) -> None:
    with pytest.raises(CheckpointError, match=r"memorization\.json"):
        MemorizationEvidence.open(write_evidence(tmp_path, told))
