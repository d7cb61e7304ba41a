"""The sentence over an attribution, in the app, in reports, on the share card and in the terminal."""

from __future__ import annotations

from attribution_core.attribution.finding import Finding, Pattern, find
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import rounded_percent
from attribution_core.corpus.credit import title_and_makers


def headline(result: Attribution) -> str:
    """What was found, as one sentence without a full stop."""
    found = find(result)
    share = rounded_percent(found.influence)
    if found.pattern is Pattern.ONE:
        return f"One training image stands out: {name_and_maker(result, 0)}, with {share} of the influence"
    if found.pattern is Pattern.FEW:
        if len(found.places) == 1:
            return f"The strongest is {name_and_maker(result, 0)}, with {share} of the influence"
        return f"{_NUMBERS[len(found.places)]} training images hold {share} of the influence"
    if found.pattern is Pattern.THEME:
        most = (
            f"Mostly “{found.theme}”" if found.influence > 0.5 else f"More “{found.theme}” than anything else"
        )
        return f"{most}: {share} comes from {len(found.places)} works{_by(found)}"
    return f"No single source: the influence is spread over about {_about(result.effective_number)} training images"


_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five")


def _by(found: Finding) -> str:
    if not found.creators:
        return ""
    return f" by {found.creators} maker{'s' * (found.creators != 1)}"


def _about(number: float) -> str:
    """A count to two digits that matter."""
    if number < 10:
        return f"{number:.0f}"
    digits = len(str(int(number))) - 2
    return f"{round(number, -digits):,.0f}"


def name_and_maker(result: Attribution, work: int) -> str:
    """A listed work by its caption and its makers. work: place in `result.works`."""
    places = result.works[work].places
    return title_and_makers(result.name_of(places[0]), (result.credits[p] for p in places))


def similarity_headline(result: Attribution) -> str:
    """What to say of an image that a model trained on the collection may not have made: no share, only likeness."""
    return f"The most similar training image is {name_and_maker(result, 0)}"
