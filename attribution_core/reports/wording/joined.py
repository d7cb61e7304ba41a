"""What the analyses say of one image, joined: influence, copy and second opinion in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.attribution.finding import Pattern, find
from attribution_core.attribution.result import Attribution
from attribution_core.reports.wording.headline import headline, similarity_headline


@dataclass(frozen=True)
class JoinedVerdict:
    """One sentence each, with a full stop. copy, second_opinion: "" where the image was not judged so."""

    influence: str
    copy: str = ""
    second_opinion: str = ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """What each sentence but the first is about, and the sentence, as far as there is one."""
        for about, sentence in (("Copy", self.copy), ("Second opinion", self.second_opinion)):
            if sentence:
                yield about, sentence


def joined_verdict(
    result: Attribution, copy: Verdict | None = None, opinion: SecondOpinion | None = None
) -> JoinedVerdict:
    """Join what is known of one image, so that no sentence contradicts another.

    result, copy, opinion: of the same image; the last two None where it was not judged so.
    """
    found = headline(result) if result.has_shares else similarity_headline(result)
    return JoinedVerdict(
        f"{found}.",
        "" if copy is None else _copy(result, copy),
        "" if opinion is None else _second_opinion(result, opinion),
    )


def _first(result: Attribution) -> set[int]:
    """Positions of the images that the strongest work is."""
    return {int(result.ids[place]) for place in result.works[0].places}


def _copy(result: Attribution, verdict: Verdict) -> str:
    name, similarity = verdict.credit.title_and_maker, float(verdict.similarity[0])
    if verdict.threshold is None:
        return f"Unknown, because no threshold was measured for {verdict.encoder}. The closest picture is {name}."
    limit = verdict.threshold.value
    if not verdict.is_copy:
        return (
            f"Not close enough to be called a copy. The closest picture is {name}, at {similarity:.3f}; copies begin "
            f"at {limit:.3f}."
        )
    if verdict.copies > 1:
        return (
            f"As close as a copy, but to {verdict.copies} training images that look alike, so it need not be a copy of "
            f"one. The closest is {name}."
        )
    first = int(verdict.ids[0]) in _first(result)
    # A headline about several images, or about none, does not name the first one.
    if first and (not result.has_shares or find(result).pattern is Pattern.ONE):
        return f"Most likely a copy of that image, at {similarity:.3f}; copies begin at {limit:.3f}."
    copied = f"Most likely a copy of {name}, at {similarity:.3f}"
    if not result.has_shares:
        return f"{copied}. Copy detection compares pictures, the list compares features."
    return f"{copied}, whatever its share. Copy detection compares pictures, shares compare features."


def _second_opinion(result: Attribution, opinion: SecondOpinion) -> str:
    if not opinion.losses.took:
        return "None, because the generator did not forget the image."
    first = int(opinion.order(True)[0])
    name = opinion.credits[first].title_and_maker
    if int(opinion.ids[first]) in _first(result):
        return f"Unlearning agrees. It, too, puts this image first: {name}."
    place = int(np.asarray(opinion.rank_similarity)[first])
    return f"Unlearning disagrees. It puts another image first: {name}, number {place} of {len(opinion)} by similarity."
