"""Whether the group that a method credits is the one whose absence a query misses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.estimates import Estimate, over_models, proportion
from pocket.counterfactual.lds import Floats


@dataclass(frozen=True)
class GroupTest:
    """What a method's credited groups are worth.

    Attributes:
        right: Share of queries whose credited group is the one whose absence raises their loss most.
        chance: What guessing reaches.
        rise: Mean rise of the loss, relative to that of the full model, without the credited group.
        of_others: The same without another group of the same kind.
    """

    right: Estimate
    chance: float
    rise: Estimate
    of_others: Estimate


def group_test(scores: Floats, groups: NDArray[np.bool_], full: Floats, without: Floats) -> GroupTest:
    """Compare a method's credit with what leaving groups out does.

    scores: (q, n) of each training image for each query. groups: (g, n) the images of each group, all of one size.
    full: (q,) loss of each query under the full model. without: (q, g) under the model that lacks a group.
    """
    if groups.shape[0] < 2 or len(set(groups.sum(axis=1).tolist())) != 1:
        raise ValueError("expected two groups or more, all of one size")
    credited = (scores @ groups.T.astype(np.float64)).argmax(axis=1)
    rise = without / full[:, None] - 1
    queries = np.arange(len(scores))
    here = rise[queries, credited]
    others = (rise.sum(axis=1) - here) / (len(groups) - 1)
    right = rise.argmax(axis=1) == credited
    return GroupTest(
        proportion(right), 1 / len(groups), over_models(here, queries), over_models(others, queries)
    )
