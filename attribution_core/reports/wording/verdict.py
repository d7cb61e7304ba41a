"""Verdicts on copies in words: title, sentence and basis of one verdict, and summaries of several."""

from __future__ import annotations

from collections.abc import Sequence

from attribution_core.analyses.memorization.alignment import Alignment
from attribution_core.analyses.memorization.verdict import Returned, Verdict
from attribution_core.evidence.memorization import MemorizationEvidence


def verdict_title(verdict: Verdict) -> str:
    """The verdict in a few words."""
    if verdict.is_copy is None:
        return "No verdict: no threshold was measured"
    if verdict.copies > 1:
        return f"As close as a copy, but to {verdict.copies} training images at once"
    return (
        "Most likely a copy of a training image"
        if verdict.is_copy
        else "Not close enough to be called a copy"
    )


def verdict_sentence(verdict: Verdict) -> str:
    """The verdict in one to three sentences."""
    name, similarity = verdict.credit.title_and_maker, float(verdict.similarity[0])
    closest = f"The closest of {verdict.n_training:,} training images is {name}, at a similarity of {similarity:.3f}"
    if verdict.threshold is None:
        return f"{closest}. How similar copies are was never measured for {verdict.encoder}."
    limit = f"We call an image a copy from {verdict.threshold.value:.3f} on."
    if not verdict.is_copy:
        return f"{closest}. {limit}"
    if verdict.copies == 1:
        return (
            f"It matches {name}, at a similarity of {similarity:.3f}. {limit} {precision_sentence(verdict)}"
        )
    return (
        f"It matches {name} best, at a similarity of {similarity:.3f}. {limit} Several training images look "
        "alike, so it need not be a copy of one of them."
    )


def precision_sentence(verdict: Verdict) -> str:
    """How often what is called a copy was one, where that was measured; "" of what is not called one."""
    if verdict.threshold is None or not verdict.is_copy:
        return ""
    return f"Where that was measured, {verdict.threshold.precision:.0%} of what was called a copy was one."


def verdict_how(verdict: Verdict) -> str:
    """What the verdict is based on: encoder, comparison, and how reliable its threshold is."""
    trained = ", which was trained to recognise copies" if "sscd" in verdict.encoder else ""
    words = (
        f"Similarity is the cosine between both images in the features of {verdict.encoder}{trained}. "
        f"All {verdict.n_training:,} training images were compared."
    )
    threshold = verdict.threshold
    if threshold is None:
        return words + " Without a threshold, the similarity alone gives no verdict."
    recall = "" if threshold.recall is None else f", and {threshold.recall:.0%} of all copies were found"
    return (
        f"{words} At this threshold, {threshold.precision:.0%} of what was called a copy was one{recall}. Measured on "
        f"{threshold.measured}."
    )


def verdicts_sentence(verdicts: Sequence[Verdict]) -> str:
    """How many of several images, at least one, are copies."""
    images = f"{len(verdicts):,} image{'s' * (len(verdicts) != 1)}"
    if verdicts[0].threshold is None:
        return f"No verdict on {images}: how similar copies are was never measured."
    copies = sum(bool(verdict.is_copy) for verdict in verdicts)
    if len(verdicts) == 1:
        return f"The image is most likely {'a' if copies else 'no'} copy of a training image."
    if copies == 1:
        return f"1 of {images} is most likely a copy of a training image."
    return f"{copies:,} of {images} are most likely copies of training images."


def returned_sentence(returned: Returned) -> str:
    """How often images of one prompt come back as the same training image."""
    seeds, name = f"{returned.images} seed{'s' * (returned.images != 1)}", returned.credit.title_and_maker
    if returned.copies:
        return f"Of {seeds}, {returned.copies} came back as copies of {name}."
    times = "once" if returned.nearest == 1 else f"{returned.nearest} times"
    return f"No copy came back from {seeds}. Closest most often ({times}) was {name}."


def alignment_words(alignment: Alignment) -> str:
    """What was done to a match to lay it over the query: "mirrored, moved 10% right"."""
    changes = ["mirrored"] if alignment.flipped else []
    if alignment.scale != 1.0:
        changes.append(f"scaled to {alignment.scale:.0%}")
    for shift, directions in ((alignment.right, ("right", "left")), (alignment.down, ("down", "up"))):
        if shift:
            changes.append(f"moved {abs(shift):.0%} {directions[shift < 0]}")
    return ", ".join(changes) or "laid over as it is"


def detection_how(evidence: MemorizationEvidence) -> str:
    """How well copies are recognised among the measured generator's own images."""
    copies, groups = evidence.copies, evidence.copies.groups
    precision = (
        ""
        if copies.precision is None
        else f" Of what is called a copy, {copies.precision:.0%} came from such a prompt and not from a matched one."
    )
    return (
        f"Of this generator's images from prompts that were repeated in training on purpose, {copies.recall:.0%} are "
        f"found to be copies. After changes such as mirroring and cropping, {copies.recall_changed:.0%} are."
        f"{precision} Of images from other training prompts, {groups['training'].called:.1%} are called copies. Of "
        f"images from prompts that it never saw, {groups['fresh'].called:.1%} are."
    )
