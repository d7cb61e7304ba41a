"""Attributions in words: how each kind of number is known, and which listed images are one work."""

from __future__ import annotations

from attribution_core.attribution.result import Attribution
from attribution_core.attribution.works import Work
from attribution_core.common.text import rounded_percent


def attribution_how(result: Attribution) -> dict[str, str]:
    """How each kind of number of an attribution and its report is known: kind -> a sentence or two."""
    source = "the collection's own"
    if result.temperature != result.fitted_temperature:
        source = f"chosen by hand; the collection's own is {result.fitted_temperature:.6g}"
    return {
        "influence": f"The softmax of similarity / temperature over all {result.n_training:,} training images; the "
        f"temperature is {result.temperature:.6g}, {source}.",
        "interval": "Certain bounds: every training image was compared, and those that are not listed are kept in "
        "narrow bins of similarity."
        if str(result.kind) == "exact"
        else "Holds with 99% confidence: part of the training images was not compared, and a stored random "
        "sample stands for them.",
        "similarity": f"The cosine between the query and the training image in the features of {result.encoder}, "
        "from -1 to 1.",
        "uncalibrated": "The same softmax with the temperature at 1, for comparison.",
        "rest": "What is left of 1 when the influences of the listed images are taken away.",
        "stands_out": "An image stands out when the lower end of its influence is at least 20%. It must also be at "
        "least ten times an even share, and twice the influence of the next. This is a convention, no test.",
        "effective_number": "The number of equally influential images that would be as spread out.",
        "sums": f"Influences of the {len(result)} listed images, added up; their bounds likewise. Lift: the sum "
        "over the group's part of the training set.",
        "checksums": "SHA-256 of the files, as the collection's cards state them, and of the cards themselves.",
    }


def near_duplicates_words(work: Work) -> str:
    """Such as "with 2 near-duplicates"; "" where there are none. Creators other than the first's are named."""
    if not work.near_duplicates:
        return ""
    others = [c for c in dict.fromkeys(work.creators) if c and c != work.creators[0]]
    by = f" ({'also' if work.creators[0] else 'there'} by {', '.join(others)})" if others else ""
    return f"with {work.near_duplicates} near-duplicate{'' if work.near_duplicates == 1 else 's'}{by}"


def place_in_work(work: Work, place: int) -> str:
    """What the image at a place of the list, from 0, is to its work: its first, or a near-duplicate; "" if alone."""
    if not work.near_duplicates:
        return ""
    if place == work.places[0]:
        return f"{near_duplicates_words(work)}: {rounded_percent(work.influence)} together"
    return f"near-duplicate of rank {work.places[0] + 1}, and one work with it"
