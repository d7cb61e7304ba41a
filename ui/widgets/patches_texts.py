"""All fixed texts of the part By patches of the tab Attribution."""

from __future__ import annotations

TITLE = "Which training images do its parts resemble?"
WHAT = (
    "<p>The image is taken apart into small windows. At each place, the training images that look most alike there get "
    "the weight. Nothing is learned for it. Weights are no calibrated shares: they compare colours and shapes at "
    "the same place, not what is shown.</p>"
)
MEASURED = (
    "<p>Do they predict what leaving training images out does? 1 would be perfect, 0 is chance. For images that "
    "generators made, weights of patches score {score:.2f} ({low:.2f} to {high:.2f}). For other drawings, nothing "
    "does; see Evidence, Left out.</p>"
)
NO_IMAGE = '<p class="status">There is no image yet; generate or upload one on the first tab.</p>'
TOO_MANY = (
    '<p class="status">Patches are compared with {most:,} training images at most; there are {count:,}.</p>'
)
TRAINING, WHERE = "weight {weight}", "where it weighs"
OTHERS = "<p class='status'>All other {count:,} training images together: {weight}.</p>"
