"""The text-conditional noise signal in words: where an image stands among measured ones, and what that is based on."""

from __future__ import annotations

from attribution_core.common.text import listing
from attribution_core.evidence.memorization import MemorizationEvidence, Signals
from attribution_core.generation.noise_signal import NoiseSignal

_COMPARED = {
    "fresh": "unseen prompts",
    "training": "other training prompts",
    "planted": "planted ones",
}
"""Groups of measured prompts that a signal is compared with."""
RECITES = (
    "The prompt pulled as hard as those of pictures that this generator memorized. This image may be close to a "
    "training image."
)
"""The warning after a drawing whose signal is that of a memorized prompt."""
RECITES_SO_FAR = "The words pull as hard as memorized ones: this may become a copy of a training image."
"""The same while it is drawn."""
_DEFINITION = (
    "At each step the generator predicts the noise with and without the prompt. The signal is the length of "
    "the difference, averaged over the steps (Wen et al., ICLR 2024). A strong signal often means a memorized picture."
)


def signal_sentence(signals: Signals, signal: NoiseSignal) -> str:
    """Where a signal stands among the measured groups."""
    parts = [
        f"{signals.above(group, signal.mean):.0%} of images from {prompts}"
        for group, prompts in _COMPARED.items()
        if group in signals.means
    ]
    return f"The signal is {signal.mean:.2f}. It is stronger than in {listing(parts)}."


def signal_how(evidence: MemorizationEvidence | None) -> str:
    """What the signal is and, where it was measured for this generator, how far it can be trusted."""
    if evidence is None:
        return _DEFINITION
    auc, (steps, guidance) = evidence.signals.auc["training"], evidence.signals.at
    return (
        f"{_DEFINITION} Planted prompts were repeated in training on purpose. In {auc.value:.0%} of pairs, a planted "
        f"prompt has a stronger signal than another training prompt (95% interval {auc.low:.0%} to {auc.high:.0%}; 50% "
        f"is chance). Measured on this generator at {steps} steps and guidance {guidance:g}."
    )
