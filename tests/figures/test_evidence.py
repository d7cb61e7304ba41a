"""What the figures of a collection's evidence show, point by point."""

from __future__ import annotations

import numpy as np
import pytest

from attribution_core.add_one_in.evaluation import Score
from attribution_core.add_one_in.reliability import reliability as measure
from attribution_core.common.estimates import Estimate
from attribution_core.evidence.benchmark import Calibrated
from attribution_core.figures.evidence import candidates, copies, metrics, reliability


def score(encoder: str, mapper: str, value: float) -> Score:
    recall = tuple(Estimate(value + k / 10, value, value + 0.5) for k in range(4))
    mean_ap = Estimate(value, value - 0.1, value + 0.2)
    return Score(encoder, mapper, "case", "written", 3, 12, recall, (1.0,) * 4, mean_ap)


def test_every_method_has_a_dot_in_every_metric_with_its_interval() -> None:
    figure = metrics(
        [score("a", "pretrained", 0.2), score("b", "pretrained", 0.3), score("a", "linear", 0.4)]
    )
    assert len(figure.data) == 5 * 2  # metrics, encoders
    first = figure.data[0]
    assert list(first.x) == [0.2, 0.4] and list(first.y) == ["a, pretrained", "a, linear"]
    assert list(first.marker.symbol) == ["circle-open", "circle"]
    assert list(first.error_x.array) == pytest.approx([0.2, 0.2])
    assert list(first.error_x.arrayminus) == pytest.approx([0.1, 0.1])
    at_100 = figure.data[-1]
    assert list(at_100.x) == pytest.approx([0.6]) and list(at_100.y) == ["b, pretrained"]
    assert [a.text for a in figure.layout.annotations] == [
        "mAP",
        "recall@1",
        "recall@5",
        "recall@10",
        "recall@100",
    ]
    assert list(figure.layout.yaxis.categoryarray) == ["a, linear", "b, pretrained", "a, pretrained"]


def test_reliability_shows_what_was_given_and_what_was_right() -> None:
    rng = np.random.default_rng(0)
    influence = rng.dirichlet(np.full(50, 0.3), 40)
    marks = np.zeros(influence.shape, bool)
    marks[np.arange(40), [rng.choice(50, p=row) for row in influence]] = True
    sharp, flat = measure(influence, marks), measure(np.full(influence.shape, 1 / 50), marks)
    nothing = Estimate(1.0, 1.0, 1.0)
    figure = reliability(Calibrated("case", 3.9, nothing, nothing, nothing, flat, sharp))
    right, none, *others = figure.data
    some = sharp.observed > 0
    assert some.any() and not some.all()
    assert list(right.x) == pytest.approx(sharp.predicted[some])
    assert list(right.y) == pytest.approx(sharp.observed[some])
    low, high = sharp.interval()
    assert list(np.asarray(right.y) + right.error_y.array) == pytest.approx(high[some])
    assert list(np.asarray(right.y) - right.error_y.arrayminus) == pytest.approx(low[some])
    assert list(none.y) == pytest.approx(high[~some]) and none.marker.symbol == "triangle-down-open"
    assert [t.name for t in others] == ["uncalibrated", "uncalibrated", "perfect calibration"]
    assert list(others[0].y) == pytest.approx([1 / 50])
    assert list(others[-1].x) == list(others[-1].y)


@pytest.mark.parametrize(("low", "high", "told"), [(2.0, 3.8, True), (3.0, 4.2, None), (4.0, 5.0, False)])
def test_shares_help_only_where_the_whole_interval_beats_equal_ones(
    low: float, high: float, told: bool | None
) -> None:
    marks = np.eye(50, dtype=bool)
    same = measure(np.full(marks.shape, 1 / 50), marks)
    fitted = Estimate((low + high) / 2, low, high)
    assert Calibrated("case", 3.9, fitted, fitted, fitted, same, same).better_than_even is told


def test_copies_are_drawn_one_curve_an_encoder() -> None:
    told = {
        name: {"copies": {"curve": [[0.0, 1.0], [share, 0.5]], "average_precision": share}}
        for name, share in (("one", 0.25), ("other", 0.75))
    }
    figure = copies(told)
    assert [t.name for t in figure.data] == ["one (0.25)", "other (0.75)"]
    assert list(figure.data[1].x) == [0, 0.75] and list(figure.data[1].y) == [1, 0.5]
    assert figure.data[0].line.color != figure.data[1].line.color


def test_numbers_of_candidates_are_drawn_as_they_were_measured() -> None:
    rows = [
        {
            "candidates": 10**k,
            "temperature": 0.1 / k,
            "nll_uniform": 2.0 * k,
            "nll_fixed": 1.5 * k,
            "nll_best": k,
        }
        for k in (3, 4)
    ]
    even, fixed, best, temperature = candidates(rows).data
    assert [list(t.y) for t in (even, fixed, best)] == [[6, 8], [4.5, 6], [3, 4]]
    assert list(temperature.x) == [1000, 10_000] and list(temperature.y) == pytest.approx([0.1 / 3, 0.1 / 4])
