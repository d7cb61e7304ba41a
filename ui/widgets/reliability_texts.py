"""All fixed texts of the part Reliability of the tab Evidence."""

from __future__ import annotations

HEAD = (
    "<h2>Do shares mean what they say?</h2><p class='status'>Models were tuned on one drawing each, so the true source "
    "(exemplar) of what they draw is known. If shares are right, of all training images with a share near 10%, 1 in 10 "
    "is a true source.</p>"
)
IMAGE = "For “{title}”, the strongest share is {share}. {reliability}"
METHOD, CASE = "Method (encoder and mappers)", "What the models drew (test models)"
HELPS = {
    True: "These shares help. A true source typically gets {fitted} of the influence, {times} times what it would get "
    "if all training images shared alike.",
    None: "It is unclear whether these shares help. A true source typically gets {fitted} of the influence, about what "
    "it would get if all training images shared alike.",
    False: "These shares mislead: do not rely on them for such images. A true source typically gets {fitted} of the "
    "influence, less than if all training images shared alike.",
}
"""By whether calibrated shares are better than even ones; None where the interval holds both."""
SCALE = {
    True: "The fitted scale (calibration) makes that {times} times what likeness alone would give.",
    None: "The fitted scale (calibration) makes no clear difference to likeness alone.",
    False: "The fitted scale (calibration) makes that less than likeness alone would give.",
}
"""By whether the scale raises the share of a true source; None where the interval holds both."""
MISPLACED = (
    "For shares to be right on average, {after} of the influence would have to move. By likeness alone, it would be "
    "{before}."
)
PLOT = "Shares that were right"
PLOT_HELP = (
    "The nearer the blue points (calibrated) are to the dashed line, the more a share means what it says. Orange: by "
    "likeness alone (uncalibrated). Bars are 95% intervals; triangles are bounds where no true source was found."
)
NUMBERS = "The numbers"
SHARE, SHARE_NOTE = "Share of the true source", "geometric mean; uncalibrated {flat}, even {even}"
GAIN, GAIN_VALUE, GAIN_NOTE = "Gain by calibration", "{:.1f} times", "95% interval: {:.1f} to {:.1f} times"
WRONG_PLACE, UNCALIBRATED = "Influence in the wrong place", "uncalibrated: {}"
LOG_SHARE, LOG_NOTE = "-log share of the true source", "95% interval: {:.2f} to {:.2f}; uncalibrated: {:.2f}"
SIZES = (
    "<h3>Does this hold for larger and smaller training sets?</h3><p class='status'>The scale (temperature) was "
    "fitted with {count:,} images. Smaller sets are a random part of them, larger ones add random crops. Left: lower "
    "is better. Where blue lies on orange, fitting it again would gain nothing.</p>"
)
LIMITS = """<div class="headline spread"><h2>What this does not show</h2>
<p>Here each image has one strong influence: the drawing that its model was tuned on. In an image by the untuned
generator, influence is spread over many training images, and nobody knows the true shares. A method that finds
the true source is the better guess. It is no proof that an image was used or copied. The figures hold for this
generator and these drawings, and say nothing about other collections.</p></div>"""
