"""What a visit found out of its images beside their influences; each is judged once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from ui.services.app import Query, Services

MOST = 30
"""Images of a visit whose judgements are kept; of more, the latest."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of one image. key: `Query.key`. copy, opinion: None where nobody has judged it so."""

    key: str
    copy: Verdict | None = None
    opinion: SecondOpinion | None = None


def of_query(judged: Sequence[Judged] | None, query: Query) -> Judged:
    """What is known of an image."""
    return next((one for one in judged or () if one.key == query.key), Judged(query.key))


def keep(judged: Sequence[Judged] | None, one: Judged) -> list[Judged]:
    """What is known, with that of one image in place of what was."""
    return [*(other for other in judged or () if other.key != one.key), one][-MOST:]


def judge(services: Services, query: Query, judged: Sequence[Judged] | None) -> Judged:
    """What is known of an image, with the verdict on copies where that takes no time."""
    one = of_query(judged, query)
    if one.copy is None and services.copies.is_quick:
        one = replace(one, copy=services.copies.check(query.image))
    return one
