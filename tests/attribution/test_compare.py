"""Two attributions side by side, by hand: what they share, how they order it, and what is drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.attribution.compare import SharedImage, compare
from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.figures.compare import slopes
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.shares import Scale


def listed(ids: list[int], n: int = 40, t: float = 0.1, caption: str = "image") -> Attribution:
    """An attribution over n images that lists these, each a little less similar than the one before."""
    similarity = (0.9 - 0.05 * np.arange(len(ids), dtype=np.float32))[None]
    rest = Rest.from_similarities(np.full((1, n - len(ids)), 0.05, dtype=np.float32))
    credits = tuple(Credit(id=str(i), caption=f"{caption} {i}") for i in ids)
    return Attribution(Hits(np.array([ids]), similarity, rest), credits, Scale(t), t, "toy", "fake")


def test_a_case_worked_by_hand() -> None:
    # Images 3, 1, 4 are on both, 7 on either. The left has the order 3, 1, 4, the right 1, 3, 4: of three pairs, two
    # stand alike.
    told = compare(listed([3, 1, 4, 10, 11]), listed([1, 20, 3, 21, 4]), 5)
    assert told.shared == (SharedImage(1, 3), SharedImage(2, 1), SharedImage(3, 5))
    assert told.jaccard == pytest.approx(3 / 7)
    assert told.rank_agreement == pytest.approx((2 - 1) / 3)
    assert told.by_chance == pytest.approx(25 / 40)
    assert not told.identical


def test_only_the_first_places_count() -> None:
    told = compare(listed([3, 1, 4, 10, 11]), listed([1, 20, 3, 21, 4]), 2)
    assert told.shared == (SharedImage(2, 1),)
    assert told.jaccard == pytest.approx(1 / 3)
    assert told.rank_agreement is None


def test_equal_inputs_are_identical_and_another_temperature_is_not() -> None:
    same = compare(listed([3, 1, 4]), listed([3, 1, 4]))
    assert same.identical and same.jaccard == 1 and same.rank_agreement == 1 and same.top == 3
    warmer = compare(listed([3, 1, 4]), listed([3, 1, 4], t=0.2))
    assert warmer.jaccard == 1 and not warmer.identical
    turned = compare(listed([3, 1, 4]), listed([4, 1, 3]))
    assert turned.rank_agreement == -1 and turned.jaccard == 1 and not turned.identical


def test_nothing_shared() -> None:
    told = compare(listed([1, 2]), listed([3, 4]))
    assert (told.jaccard, told.shared, told.rank_agreement) == (0, (), None)


def test_two_training_sets_are_compared_by_keys_not_by_position() -> None:
    told = compare(listed([1, 2, 3]), listed([1, 2, 3], n=9), left_keys="abc", right_keys="cxa")
    assert told.shared == (SharedImage(1, 3), SharedImage(3, 1))
    assert told.by_chance is None and not told.same_collection
    twice = compare(listed([1, 2, 3]), listed([1, 2, 3], n=9), left_keys="aab", right_keys="aaa")
    assert twice.shared == (SharedImage(1, 1),)


def test_bad_input_is_one_sentence() -> None:
    a, b = listed([1, 2]), listed([3, 4])
    for wrong, words in (
        ({"top": 0}, "top"),
        ({"left_keys": "ab"}, "both or none"),
        ({"left_keys": "a", "right_keys": "ab"}, "1 keys for 2"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            compare(a, b, **wrong)  # type: ignore[arg-type]


@given(st.permutations(range(9)), st.permutations(range(9)), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_either_side_may_be_the_left_one(left: list[int], right: list[int], top: int) -> None:
    one, other = (
        compare(listed(left[:6]), listed(right[:6]), top),
        compare(listed(right[:6]), listed(left[:6]), top),
    )
    on_both = set(left[:top]) & set(right[:top])
    assert len(one.shared) == len(on_both)
    assert one.jaccard == other.jaccard == len(on_both) / len(set(left[:top]) | set(right[:top]))
    assert one.rank_agreement == other.rank_agreement
    if len(on_both) > 1:  # the exact twin: all pairs of images, by their places in the lists
        pairs = list(combinations(sorted(on_both), 2))
        signs = [
            np.sign(left.index(a) - left.index(b)) * np.sign(right.index(a) - right.index(b))
            for a, b in pairs
        ]
        assert one.rank_agreement == pytest.approx(np.mean(signs))


def test_slopes_join_what_is_shared_and_leave_the_others_alone() -> None:
    told = compare(listed([3, 1, 4, 10, 11], caption="<b>a"), listed([1, 20, 3, 21, 4]), 5)
    figure = slopes(told, "one <i>", "other")
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    ends = {(trace.y[k], trace.y[k + 1]) for trace in lines for k in range(0, len(trace.y), 3)}
    assert ends == {(1, 3), (2, 1), (3, 5)}
    steady = next(trace for trace in lines if trace.name.startswith("at most"))
    assert list(steady.y) == [2, 1, None]
    dots = {(trace.x[0], rank) for trace in figure.data if trace.mode == "markers" for rank in trace.y}
    assert dots == {(0, 4), (0, 5), (1, 2), (1, 4)}
    assert "<b>" not in str(figure.data[0].customdata) and "<i>" not in str(figure.layout.xaxis.ticktext)
