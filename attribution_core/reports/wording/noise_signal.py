"""The text-conditional noise signal in words: where an image stands among measured ones, and what that is based on."""

from __future__ import annotations

from attribution_core.common.text import listing
from attribution_core.evidence.memorization import MemorizationEvidence, Signals
from attribution_core.generation.noise_signal import NoiseSignal

PROMPT_GROUPS = {
    "planted": "prompts of images that were repeated in training on purpose",
    "control": "prompts of matched training images that were not",
    "training": "other training prompts",
    "fresh": "prompts that the generator never saw",
}
"""The groups of measured prompts."""
RECITES = (
    "The words pulled as hard as those of pictures that this generator memorized: the image may be close to a training "
    "image."
)
"""The warning after a drawing whose signal is that of a memorized prompt."""
RECITES_SO_FAR = "The words pull as hard as memorized ones: this may become a copy of a training image."
"""The same while it is drawn."""
_DEFINITION = (
    "At each step the generator predicts the noise with and without the words. The signal is the length of "
    "the difference, averaged over steps (Wen et al., ICLR 2024): words that pull hard often recite."
)


def signal_sentence(signals: Signals, signal: NoiseSignal) -> str:
    """Where a signal stands among the measured groups."""
    parts = [
        f"{signals.above(group, signal.mean):.0%} of images of {PROMPT_GROUPS[group]}"
        for group in ("fresh", "training", "planted")
        if group in signals.means
    ]
    return f"The signal is {signal.mean:.2f}: stronger than that of {listing(parts)}."


def signal_how(evidence: MemorizationEvidence | None) -> str:
    """What the signal is and, where it was measured for this generator, how far it can be trusted."""
    if evidence is None:
        return _DEFINITION
    auc, (steps, guidance) = evidence.signals.auc["training"], evidence.signals.at
    return (
        f"{_DEFINITION} Of a planted and of another training prompt, the planted one has the stronger signal in "
        f"{auc.value:.0%} of cases (95 % interval {auc.low:.0%} to {auc.high:.0%}); 50 % would be chance. "
        f"Measured on this generator at {steps} steps and guidance {guidance:g}."
    )
