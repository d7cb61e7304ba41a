"""Where an artist's work stands, in words: for one image, over several prompts, and after a model learned from it."""

from __future__ import annotations

from attribution_core.analyses.artwork.lesson import WithAndWithout
from attribution_core.analyses.artwork.nearest import Nearest
from attribution_core.analyses.artwork.standing import LISTED, Standing
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.common.text import ordinal, percent


def place_words(rank: int, candidates: int) -> str:
    """A rank in words: "70th of 7,769 sources"."""
    return f"{ordinal(rank)} of {candidates:,} sources"


def best_place(standing: Standing) -> str:
    """Where the artist's closest image stands: "70th of 7,767 sources (yours included)"."""
    return f"{place_words(standing.best.rank, standing.attribution.n_training)} (yours included)"


def nearest_sentence(found: Nearest) -> str:
    """Which training image is most like the artist's work."""
    theirs = found.credit.title_and_maker
    if found.same:
        return f"Your “{found.title}” looks the same as the training image {theirs}."
    words = f"The training image most like your work is {theirs}; it is closest to your “{found.title}”."
    return f"{words} But the match is weak: the two are too different for a copy." if found.is_weak else words


def standing_sentence(standing: Standing) -> str:
    """The answer to "would I be credited?"."""
    best, count = standing.best, len(standing.pieces)
    title, place = f"“{best.title}”", f"{best_place(standing)} for this image"
    together = (
        f" Your {count} images together would hold {percent(standing.share)} of the influence."
        if count > 1
        else ""
    )
    strongest = f"“{standing.attribution.name_of(standing.strongest[0])}”"
    if standing.level:
        return (
            f"In part: {title} would be as close as {strongest}, the strongest training image. They may be the "
            f"same image, so that yours is in the training set already.{together}"
        )
    if standing.named_first:
        return f"Yes: {title} would be {place}, ahead of {strongest}.{together}"
    if best.rank == 1:
        return f"Perhaps: {title} would be {place}, ahead of {strongest}, but no source stands out.{together}"
    if best.rank <= LISTED:
        return f"In part: {title} would be {place}; the strongest is {strongest}.{together}"
    return f"No: your closest, {title}, would only be {place}; the strongest is {strongest}.{together}"


def survey_sentence(survey: Survey) -> str:
    """How close the prompts of a survey come to the artist's work."""
    closest, count = survey.ranked[0], len(survey.rows)
    listed = sum(row.standing.best.rank <= LISTED for row in survey.rows)
    best = closest.standing.best
    return (
        f"The prompt “{closest.prompt}” comes closest to your work: your “{best.title}” would "
        f"{'only ' if best.rank > LISTED else ''}be {best_place(closest.standing)}. In {listed or 'none'} of {count} "
        f"{'image' if count == 1 else 'images'}, work of yours would be among the first {LISTED}."
    )


def lesson_sentence(result: WithAndWithout) -> str:
    """Whether what the model learned from the artist can be seen in what it draws, and where."""
    clearest = min(result.pairs, key=lambda pair: pair.after.best.rank)
    count, after = len(result.pairs), clearest.after.best
    place, before = best_place(clearest.after), ordinal(clearest.before.best.rank)
    if not result.can_be_seen:
        return (
            "The effect is too small to see. Even with what the model learned from you, your closest image, "
            f"“{after.title}”, would be {place}; without it, {before}. More learning steps may show more."
        )
    where = "the image" if count == 1 else f"{result.can_be_seen} of {count} images"
    return (
        f"What the model learned from you shows in {where}. In the clearest, your “{after.title}” would be {place}; "
        f"without learning, {before}."
    )
