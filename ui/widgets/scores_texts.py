"""All fixed texts of the tab Scores."""

from __future__ import annotations

SHARED = (
    "For “{title}”, the influence is spread as if about {shared:,.0f} of {count:,} training images shared it equally. "
    "The strongest holds {strongest}, the first {listed} together {held}."
)
FITTED = (
    "Likeness alone hardly tells training images apart: it would spread the influence over {flat:,.0f} of them. So it "
    "is put on a sharper scale, which was fitted where the true source is known (calibration)."
)
MOVED = "You moved the scale, so these are not the shares that the rest of the page shows."
SLIDER = "How sharply training images are told apart (temperature)"
SLIDER_INFO = (
    "0 is as fitted, each step of 1 doubles it. Left: fewer images share the influence. Right: more do."
)
RESET = "Back to the fitted scale"
COLOURS = (
    "What each training image holds, strongest first; what the strongest hold together; and how like the image all "
    "are. Blue: shares as the page shows them (calibrated). Orange: by likeness alone (uncalibrated)."
)
RANKS, CUMULATIVE, HISTOGRAM = "Share by rank", "Shares added up", "All by similarity"
"""Short, so that on a phone they leave the legends in sight."""
NUMBERS = "The numbers"
TEMPERATURE, FITTED_VALUE, FITTED_TO = "Temperature", "fitted", "fitted: {:.4f}"
EFFECTIVE, STRONGEST, OTHERS = (
    "Images that share the influence (effective number)",
    "Strongest image",
    "All images but the first {}",
)
UNCALIBRATED = "uncalibrated: {}"
