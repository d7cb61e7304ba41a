"""The joined verdict: one sentence each, and none that contradicts another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attribution_core.analyses.unlearning.forget import LossChanges
from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit
from attribution_core.reports.wording.headline import headline, similarity_headline
from attribution_core.reports.wording.joined import joined_verdict
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.shares import Scale
from tests.support.sentences import long_sentences
from tests.support.verdicts import verdict

LEADS = [0.9, 0.3, 0.3, 0.3]
THIN = [0.31, 0.3, 0.3, 0.3]


def result(similarity: list[float], known: MadeBy = MadeBy.SAID_SO) -> Attribution:
    """Training images 3, 4, 5 and 6, of 100."""
    rest = Rest.from_similarities(np.full((1, 96), 0.2 if similarity is LEADS else 0.3, dtype=np.float32))
    hits = Hits(np.arange(3, 7)[None], np.array([similarity], dtype=np.float32), rest)
    names = ("sun", "moon", "tree", "fish")
    credits = tuple(Credit(id=name, caption=name, creator=f"Maker {name}") for name in names)
    return Attribution(hits, credits, Scale(0.02), 0.02, "toy", "fake", known)


def opinion(change: list[float], took: bool = True) -> SecondOpinion:
    losses = LossChanges(np.zeros(4), np.array(change), 1.0, 2.0 if took else 1.0)
    credits = tuple(Credit(id=str(k), short_caption=f"image {k}") for k in range(3, 7))
    similarity, listed = np.array([0.9, 0.8, 0.7, 0.6]), np.ones(4, bool)
    return SecondOpinion(np.arange(3, 7), credits, listed, similarity, losses)


def test_what_was_not_judged_is_not_mentioned() -> None:
    told = joined_verdict(result(LEADS))
    assert told.influence == f"{headline(result(LEADS))}." and "One training image" in told.influence
    assert (told.copy, told.second_opinion, list(told.lines())) == ("", "", [])


def test_without_shares_no_sentence_speaks_of_influence_or_shares() -> None:
    unknown = result(LEADS, MadeBy.UNKNOWN)
    told = joined_verdict(unknown, verdict(0.95, 0.4))
    assert told.influence == f"{similarity_headline(unknown)}."
    assert told.copy.startswith("Most likely a copy of that image, at 0.950")
    other = joined_verdict(unknown, verdict(0.95, 0.4, first=5)).copy
    assert "by Ada" in other and not any(word in told.copy + other for word in ("share", "influence"))


@pytest.mark.parametrize("similarity", [LEADS, THIN])
def test_a_copy_of_another_image_than_the_headline_names_is_reconciled(similarity: list[float]) -> None:
    that = joined_verdict(result(similarity), verdict(0.95, 0.4, first=3)).copy
    other = joined_verdict(result(similarity), verdict(0.95, 0.4, first=5)).copy
    assert ("that image" in that) is (similarity is LEADS)
    assert "“red <b>circle</b>” by Ada" in other and "whatever its share" in other
    assert [about for about, _ in joined_verdict(result(similarity), verdict(0.95)).lines()] == ["Copy"]


def test_no_copy_several_and_no_threshold_have_sentences_of_their_own() -> None:
    told = [
        joined_verdict(result(LEADS), one).copy
        for one in (verdict(0.79, 0.4), verdict(0.9, 0.85, 0.2), verdict(0.99, threshold=None))
    ]
    assert "Not close enough" in told[0] and "at 0.790; copies begin at 0.800" in told[0]
    assert "to 2 training images" in told[1] and "need not be a copy" in told[1]
    assert told[2].startswith("Unknown, because no threshold")


def test_the_second_opinion_agrees_disagrees_or_says_nothing() -> None:
    agrees, disagrees, nothing = (
        joined_verdict(result(LEADS), opinion=one).second_opinion
        for one in (opinion([4, 1, 2, 3]), opinion([1, 4, 2, 3]), None)
    )
    assert "agrees" in agrees and "this image first: “image 3”." in agrees
    assert "disagrees" in disagrees and "another image first: “image 4”, number 2 of 4" in disagrees
    assert nothing == ""
    forgot = joined_verdict(result(LEADS), opinion=opinion([4, 1, 2, 3], took=False)).second_opinion
    assert forgot == "None, because the generator did not forget the image."


def test_with_all_names_no_sentence_is_too_long() -> None:
    name = Credit(short_caption="beverage box, fluent style", creator="Microsoft", icon_set=True)
    judged = (
        verdict(0.95),
        verdict(0.95, first=5),
        verdict(0.79),
        verdict(0.9, 0.85),
        verdict(0.9, threshold=None),
    )
    asked = replace(opinion([1, 4, 2, 3]), credits=(name,) * 4)
    for made_by in (MadeBy.SAID_SO, MadeBy.UNKNOWN):
        for one in judged:
            told = joined_verdict(result(LEADS, made_by), replace(one, credit=name), asked)
            assert long_sentences([told.influence, told.copy, told.second_opinion]) == []
