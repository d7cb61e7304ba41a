"""The check of a model in words."""

from __future__ import annotations

from collections.abc import Sequence

from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.common.estimates import Estimate
from attribution_core.reports.wording.verdict import precision_sentence

CAPTIONS, FRESH = "training captions", "other prompts"
MEANS = (
    "That no copy is among so many images does not mean that there is none: another prompt or seed may bring one back. "
    "A copy need not have been learned from this training set either: the picture may be known elsewhere."
)
SIGNAL_MEANS = (
    "The noise signal says how hard a prompt pulled at the drawing. Prompts of memorized pictures pull hard."
)
HOW_SHARES = (
    "Shares are estimates, calibrated for the collection's own generator. What a LoRA learned since may have moved "
    "them."
)
NO_SHARES = (
    "There are no shares: nothing shows that this model was trained on the collection, or the collection has no fitted "
    "temperature."
)
SIGNAL_OF_ANOTHER = (
    "The noise signal of memorized prompts was not measured for this model, so prompts can be compared with each other "
    "only."
)


def check_sentence(verdicts: Sequence[Verdict]) -> str:
    """How many of the drawn images, at least one, are copies, and of how many training images."""
    drawn = f"{len(verdicts):,} image{'s' * (len(verdicts) != 1)}"
    if verdicts[0].threshold is None:
        return f"No verdict on {drawn}: how similar copies are was never measured."
    copies = [int(verdict.ids[0]) for verdict in verdicts if verdict.is_copy]
    if not copies:
        return f"Most likely none of {drawn} is a copy of a training image."
    works = len(set(copies))
    return (
        f"{len(copies):,} of {drawn} {'is' if len(copies) == 1 else 'are'} most likely "
        f"{'a copy' if len(copies) == 1 else 'copies'}, of {works:,} training image{'s' * (works != 1)}."
    )


def check_precision(verdicts: Sequence[Verdict]) -> str:
    """How often a copy is one, for beside `check_sentence`; "" where there is none."""
    return next((precision_sentence(verdict) for verdict in verdicts if verdict.is_copy), "")


def rate_words(estimate: Estimate) -> str:
    """A rate with its interval: "12% (5% to 25%)"."""
    return f"{estimate.value:.0%} ({estimate.low:.0%} to {estimate.high:.0%})"
