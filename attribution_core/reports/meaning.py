"""What a score means and what it does not: the same words in the app, in reports and in the docs."""

from __future__ import annotations

CAVEAT = (
    "Shares are estimates from likeness, on a scale fitted where the answer was known. They are no proof of cause, and "
    "no legal finding of copying."
)
"""The shortest form of what a share is and is not, wherever shares are shown."""
MEANING = (
    "A score is an estimated influence: how much of the softmax an image holds, on a scale fitted to images whose "
    'influence is known by construction. Read it as "of all training images, these resemble the result in the way '
    'that influential ones did when we knew the answer".',
    "It is not proof of cause. It does not say that the result would look different had the image not been in the "
    "training set. When that question was tested by training again without the images (Wang, Hertzmann, Efros, Zhu "
    "and Zhang, NeurIPS 2024), features tuned as above barely beat plain DINO features. A score is no legal finding "
    "of copying either, and no basis for paying anybody by itself.",
)
"""What a score is and is not, one paragraph each; a test holds them against README and docs."""
LIMITS = (
    "Similar is not influential: two nearly identical training images share one influence.",
    "A share depends on the whole training set, the encoder and the temperature. Shares of different collections "
    "cannot be compared.",
    "The scale is fitted on models tuned on one image, where the influence is strong. For an image from a plain "
    'prompt the influence is usually spread thin, and "no single source" is a common and honest answer.',
    "An interval covers what the search left unlisted. It does not cover the error of the method itself.",
)
"""What to keep in mind beside every share, likewise."""
