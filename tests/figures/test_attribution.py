"""What the figures show, against the full softmax of a query whose similarities are all known."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from plotly.graph_objects import Figure

from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit
from attribution_core.figures.attribution import cumulative_share, influence_by_rank, similarity_histogram
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.shares import Scale

N, TOP, T = 400, 20, 0.03
ALL = -np.sort(-np.random.default_rng(3).normal(0.4, 0.1, N).astype(np.float32))
FULL = np.exp(ALL.astype(float) / T) / np.exp(ALL.astype(float) / T).sum()
FLAT = np.exp(ALL.astype(float)) / np.exp(ALL.astype(float)).sum()


def result(top: int = TOP, caption: str = "caption") -> Attribution:
    hits = Hits(np.arange(top)[None, :], ALL[None, :top], Rest.from_similarities(ALL[None, top:]))
    return Attribution(
        hits, tuple(Credit(caption=f"{caption} {k}") for k in range(top)), Scale(T), T, "toy", "fake"
    )


def trace(figure, name: str, mode: str | None = None):
    return next(t for t in figure.data if t.name == name and (mode is None or t.mode == mode))


@pytest.mark.parametrize("draw", [influence_by_rank, cumulative_share, similarity_histogram])
def test_plotly_accepts_every_value_of_a_figure(draw: Callable[[Attribution], Figure]) -> None:
    Figure(draw(result()).to_dict())  # raises for a name or a value that Plotly does not know


@pytest.mark.parametrize(("name", "truth"), [("calibrated", FULL), ("uncalibrated", FLAT)])
def test_the_curve_by_rank_is_the_full_softmax(name: str, truth: np.ndarray) -> None:
    line = trace(influence_by_rank(result()), name, "lines")
    rank = np.asarray(line.x).astype(int)
    assert rank[0] == 1 and rank[-1] == N
    assert np.asarray(line.y) == pytest.approx(truth[rank - 1], rel=2e-2)
    assert np.asarray(line.y)[:TOP] == pytest.approx(truth[:TOP], rel=1e-4)


def test_dots_carry_captions_and_no_markup() -> None:
    dots = trace(influence_by_rank(result(caption="<b>&")), "calibrated", "markers")
    assert list(dots.customdata)[:2] == ["&lt;b&gt;&amp; 0", "&lt;b&gt;&amp; 1"]
    assert "%{customdata}" in dots.hovertemplate


@pytest.mark.parametrize(("name", "truth"), [("calibrated", FULL), ("uncalibrated", FLAT)])
def test_the_cumulative_share_ends_at_one(name: str, truth: np.ndarray) -> None:
    line = trace(cumulative_share(result()), name)
    share = np.asarray(line.y)
    assert (np.diff(share) >= 0).all() and share[-1] == pytest.approx(1.0, abs=1e-9)
    assert share == pytest.approx(truth.cumsum()[np.asarray(line.x).astype(int) - 1], abs=2e-4)


def test_the_histogram_counts_every_image_once() -> None:
    rest, listed = similarity_histogram(result()).data
    assert np.nansum(np.asarray(rest.y, dtype=float)) == N - TOP
    assert np.nansum(np.asarray(listed.y, dtype=float)) == TOP
    assert np.asarray(listed.x)[~np.isnan(np.asarray(listed.y, dtype=float))].min() >= ALL[TOP] - 0.01


@pytest.mark.parametrize("draw", [influence_by_rank, cumulative_share, similarity_histogram])
@pytest.mark.parametrize("top", [1, N])
def test_figures_hold_at_the_ends_and_are_see_through(draw, top: int) -> None:
    figure = draw(result(top))
    assert json.loads(figure.to_json())["data"]
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    values = np.concatenate([np.asarray(t.y, dtype=float) for t in figure.data])
    assert np.isfinite(values[~np.isnan(values)]).all()
