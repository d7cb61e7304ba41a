"""What is known of an image's making, in one sentence."""

from __future__ import annotations

from attribution_core.attribution.origin import MadeBy

ORIGIN = {
    MadeBy.THIS_GENERATOR: "Made by the collection's own generator, which was trained on these images.",
    MadeBy.SAID_SO: "Taken to be made by a model trained on these images, because whoever asks says so.",
    MadeBy.UNKNOWN: (
        "Nothing shows that a model trained on these images made this one. If none did, these are similar images, and "
        "the shares are not shares of influence."
    ),
}
