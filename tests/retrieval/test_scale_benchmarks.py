"""The benchmarks of search at scale, on few rows."""

import numpy as np
import pytest

from attribution_core.retrieval import cells
from benchmarks import capacity, scale
from benchmarks.stores import rows


@pytest.mark.parametrize("factory", ["Flat", "SQ8x2", "IVF"])
def test_a_kind_of_index_is_compared_with_the_released_path(factory):
    figures = scale.measure(factory, rows(3000, 16, 1), rows(5, 16, 0), runs=2, batch=3, top=5)
    assert (figures["rows"], figures["recall"], figures["intervals_hold"]) == (3000, 1.0, 1.0)
    ratio = figures["peer_ms"] / figures["one_ms"]  # all three are rounded
    assert figures["times_as_fast"] == pytest.approx(ratio, rel=0.2, abs=0.15)
    assert figures["bytes_per_value"] >= 2


def test_an_estimate_by_hand():
    found = capacity.Measured(
        row_s=1e-6,
        mean_s=2e-6,
        cell_s=3e-6,
        product_s=1e-9,
        probed=64,
        mean=np.full((capacity.QUERIES, 4), 0.1),
        spread=np.full((capacity.QUERIES, 4), 0.01),
        radius=np.full((capacity.QUERIES, 4), 0.5),
        scanned=np.full(capacity.QUERIES, 5.0),
    )
    one, four = (capacity.estimate(10**6, 14, memory, found) for memory in (40e6, 10e6))
    assert (one["machines"], one["cells_each"], one["gigabytes_each"]) == (1, 1000, 0.04)
    assert one["query_ms"] == pytest.approx(64 + 8 + 2 + 3)
    assert one["exact_query_ms"] == 1000
    assert one["build_hours_each"] == pytest.approx((1e6 + 10 * 64e3) * 1000 * 1e-9 / 3600, abs=0.005)
    assert (four["machines"], four["rows_each"]) == (4, 250_000)
    assert 0 < four["interval_width"] < one["interval_width"] < 0.1


def test_what_an_index_needs_is_measured(monkeypatch):
    monkeypatch.setattr(cells, "SCANNED", 90)
    monkeypatch.setattr(capacity, "TOP", 5)
    found = capacity.measure(900, 16)
    assert 2 <= found.probed < 30
    assert min(found.row_s, found.mean_s, found.cell_s, found.product_s) > 0
    assert found.mean.shape == found.spread.shape == found.radius.shape
    assert (found.scanned > found.mean.max(axis=1) / scale.TEMPERATURE).all(), "near rows weigh most"
