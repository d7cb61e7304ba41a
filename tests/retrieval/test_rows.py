"""Every backend gives its rows back, in the order in which they came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attribution_core.retrieval import flat, planes
from attribution_core.retrieval.index import TrainingIndex


@pytest.mark.parametrize("factory", ["Flat", "SQfp16", "SQ8x2", "IVF"])
def test_rows_come_back_in_their_order(factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "_BLOCK", 70)
    monkeypatch.setattr(flat, "_DECODE_VALUES", 700)
    rows = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    TrainingIndex.build(rows, factory).save(tmp_path)
    given = list(TrainingIndex.load(tmp_path).rows())
    assert len(given) == (7 if factory in ("Flat", "SQfp16") else 5)
    np.testing.assert_allclose(np.concatenate(given), rows, atol=5e-4)
