"""Where an artist's work stands, in words: for one image, over several prompts, and after a model learned from it."""

from __future__ import annotations

from statistics import median

from attribution_core.analyses.artwork.lesson import WithAndWithout
from attribution_core.analyses.artwork.standing import LISTED, Standing
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.common.text import percent


def standing_sentence(standing: Standing) -> str:
    """The answer to "would I be credited?"."""
    best, n, count = standing.best, standing.attribution.n_training, len(standing.pieces)
    title, share = f"“{best.title}”", percent(best.influence)
    together = "" if count == 1 else f" Your {count} images together would hold {percent(standing.share)}."
    first = standing.strongest[0]
    strongest = (
        f"“{standing.attribution.name_of(first)}”, the strongest training image, with "
        f"{percent(float(standing.attribution.influence[first]))}"
    )
    if standing.level:
        return (
            f"In part: {title} would be as close as {strongest}, first of {n:,} images together. They may be "
            f"the same image, so that yours is in the training set already.{together}"
        )
    if standing.named_first:
        return (
            f"Yes: {title} would be named first of {n:,} images, with {share}, before {strongest}.{together}"
        )
    if best.rank == 1:
        return (
            f"Perhaps: {title} would be the closest of {n:,} images, with {share}, before {strongest}, but none "
            f"stands out; the influence is spread over many.{together}"
        )
    if best.rank <= LISTED:
        return (
            f"In part: {title} would stand at number {best.rank} of {n:,} with {share}, behind {strongest}."
            f"{together}"
        )
    even = f"{standing.lift:.1f} times an even share" if standing.lift >= 0.05 else "next to nothing"
    return (
        f"No: your closest, {title}, would stand at number {best.rank:,} of {n:,}, far behind {strongest}. "
        f"Your {'image' if count == 1 else f'{count} images together'} would hold "
        f"{percent(standing.share)}, {even}."
    )


def survey_sentence(survey: Survey) -> str:
    """How close the prompts of a survey come to the artist's work."""
    closest, count = survey.ranked[0], len(survey.rows)
    listed = sum(row.standing.best.rank <= LISTED for row in survey.rows)
    share, best = percent(closest.standing.share), closest.standing.best
    return (
        f"In {listed or 'none'} of {count} {'image' if count == 1 else 'images'}, work of yours would be among "
        f"the first {LISTED}. “{closest.prompt}” comes closest: there your images would hold {share}, the best "
        f"of them at number {best.rank:,} of {closest.standing.attribution.n_training:,}."
    )


def lesson_sentence(result: WithAndWithout) -> str:
    """How far the artist's share moves once the model has learned from the images."""
    before, after = [p.before for p in result.pairs], [p.after for p in result.pairs]
    if not result.risen:
        return (
            "Having learned from you, the model draws nothing that is closer to your images: your share rose "
            f"in none of {len(result.pairs)}. More steps may show more."
        )
    shares = [percent(median(s.share for s in side)) for side in (before, after)]
    ranks = [median(s.best.rank for s in side) for side in (before, after)]
    listed = [sum(s.best.rank <= LISTED for s in side) for side in (before, after)]
    single = len(result.pairs) == 1
    return (
        f"Once the model has learned from you, your share rises in "
        f"{'the image' if single else f'{result.risen} of {len(result.pairs)} images'}: from {shares[0]} to "
        f"{shares[1]}, and your closest image moves from number {ranks[0]:,.0f} to {ranks[1]:,.0f}"
        f"{'' if single else ' (medians)'}. Among the first {LISTED}: {listed[0]} before, {listed[1]} after."
    )
