"""All fixed texts of the tab Memorization."""

from __future__ import annotations

NOTHING = (
    '<div class="headline spread"><h2>Nothing to look at yet</h2><p>Choose a known case, or generate or upload an '
    "image on the first tab.</p></div>"
)
IMPOSSIBLE = "Copies cannot be detected here"
HOW = "How do we know?"

THIS_IMAGE = "This image"
THE_TRAINING_IMAGE = "The training image"
SLIDER = "One over the other: drag the line"
BLINK = "Blink between the two"
MORE = "Where both agree, other close images, and the drop-off"
DIFFERENCE = "Dark where they differ"
HEAT_QUERY = "Red where this image resembles the other"
HEAT_MATCH = "Red where the training image resembles this one"
HOW_MAPS = (
    "The training image is shifted, scaled and mirrored until its pixels agree best with this image. For the red maps, "
    "one spot after another is covered, and the copy encoder compares again. The similarity falls most where the "
    "likeness lies."
)
THIS_ALT, TRAINING_ALT = "this image: {}", "training image: {}"
DIFFERENCE_ALT = "where the two differ, as dark spots: {} and {}"
HEAT_ALT = "where the likeness lies, in red, in {}"
NEAREST = "The closest training images; choose one to compare with"
DROP_OFF = "Drop-off: does one training image stand apart from the others?"
HOW_DROP_OFF = (
    "The training images are sorted by similarity. A copy stands apart from the rest; where an image is like many "
    "others, the curve falls smoothly."
)
STANDS_APART = " But it stands apart from all others, as copies do: compare the two."
ENCODING = "Encoding the training images once"
ATTRIBUTING = "Attributing ..."

RECORD = "Draw it again and record its signal"
SIGNAL_LEVEL = "Noise signal of this image and of measured prompts"
SIGNAL_STEPS = "Noise signal, step by step"
NO_SIGNAL = "No signal was recorded for this image"
WHEN_RECORDED = (
    "The noise signal is recorded while an image is drawn here with guidance above 1. This image was stored or "
    "uploaded, or drawn without guidance."
)
NOT_MEASURED = (
    "The signal of memorized prompts was never measured for this generator, so there is no verdict on it."
)

NO_GENERATOR = "This collection has no generator, so there are no prompts to try."
CASES = "Known cases: choose one to draw its prompt and check for a copy"
PLANTED, CONTROLS = "planted: repeated in training on purpose", "controls: matched, not repeated"
DOCUMENTED = "Prompts known from the literature; drawn only on request"
DOCUMENTED_COLUMNS = ["kind", "prompt", "documented by"]
MAKE_DOCUMENTED = "Draw and check"

SEEDS = "Try many seeds: does the same training image come back?"
TRY_SEEDS = "Try them"
STOP, STOPPED = "Stop", "Stopped."

GAME = (
    '<div class="headline"><h2>Copy or original?</h2><p>This model was trained to memorize {count} pictures. You see '
    "one of them beside what the model draws from its caption. Which is the original?</p></div>"
)
LEFT, RIGHT = "The left one", "The right one"
LEFT_ALT, RIGHT_ALT = "the left picture: {}", "the right picture: {}"
ORIGINAL_ALT, DRAWN_ALT = "the original: {}", "drawn by the model: {}"
PLAY, NEXT_PAIR = "Play", "Next pair"
NO_PAIR = "no pictures are dealt; press Play first."

CHECK = "Check this model: which training images does it bring back?"
CHECK_WHAT = (
    "The model draws many prompts, and each drawing is compared with every training image. The command "
    "<code>check-model</code> does the same for a LoRA or another model, with as many images as you like."
)
CHECK_CAPTIONS, CHECK_OWN = "training captions, by lot", "my own"
CHECK_PROMPTS = "Prompts, one per line"
CHECK_START = "Check the model"
CHECK_STOPPED, CHECK_KEPT = "Stopped.", "Stopped. What was drawn until then is below."
CHECK_COLUMNS = ("prompts", "number", "images", "copies (95% interval)", "noise signal")
CHECK_COPIES, CHECK_CLOSEST = "Copies, the closest first", "The closest, none of them a copy"
CHECK_MORE = "{count} more copies are in the file."
