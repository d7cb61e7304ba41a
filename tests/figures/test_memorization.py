"""Figures of memorization show what the results hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from attribution_core.evidence.memorization import MemorizationEvidence
from attribution_core.figures.memorization import by_step, drop_off, gauge
from attribution_core.generation.noise_signal import NoiseSignal
from tests.support.evidence import told_evidence, write_evidence
from tests.support.verdicts import verdict


def test_figures_show_what_the_results_hold(tmp_path: Path) -> None:
    figure = drop_off(verdict(0.9, 0.85, 0.3, 0.2), ["<a>", "b"])
    copies, others = (
        next(t for t in figure.data if t.name == name) for name in ("close enough for a copy", "others")
    )
    np.testing.assert_allclose(copies.y, [0.9, 0.85], atol=1e-6)
    np.testing.assert_allclose(others.x, [3, 4])
    assert copies.customdata[0] == "&lt;a&gt;"
    texts = [a.text for a in figure.layout.annotations]
    assert "drop-off 0.550" in texts and "a copy from 0.800 on" in texts
    assert [s.y0 for s in figure.layout.shapes] == [0.8]
    assert not drop_off(verdict(0.9, threshold=None)).layout.shapes

    found = MemorizationEvidence.open(write_evidence(tmp_path, told_evidence()))
    assert found is not None
    signal = NoiseSignal((3.0, 5.0))
    rows = gauge(found.signals, signal)
    assert [s.x0 for s in rows.layout.shapes] == [4.0] and not gauge(found.signals, None).layout.shapes
    assert sorted(rows.data[0].x) == [1.0]  # the row of prompts never seen stands lowest
    lines = {t.name: list(t.y) for t in by_step(found.signals, signal).data}
    assert lines["this image"] == [3.0, 5.0] and lines["planted"] == [1.0, 8.0]
    assert [t.name for t in by_step(None, signal).data] == ["this image"]
