"""All fixed texts of the tab My artwork."""

from __future__ import annotations

from attribution_core.analyses.artwork.lesson import MARK
from attribution_core.analyses.artwork.standing import MOST_IMAGES
from attribution_core.analyses.artwork.survey import MOST_PROMPTS
from ui.services.artwork import PROMPTS

UNNAMED = "the artist"
"""Whose the images are, where no name is given."""


def named(artist: str | None) -> str:
    """The name as given, or what stands for it."""
    return (artist or "").strip() or UNNAMED


WHAT = (
    '<div class="headline spread"><h2>How close is this model to my work?</h2><p>Drop in your images. You see the '
    "training images most like them, and the prompts for which the model draws closest to you.</p></div>"
)
UPLOAD = f"Your images, 1 to {MOST_IMAGES}"
NAME = "Your name, for the report (optional)"
FORGET = "Forget my artwork"
NO_IMAGES = "No images yet."
PRIVACY = (
    "<details class='status'><summary>What happens to my images?</summary><p>Your browser sends them to this server. "
    "The app reads each file into memory and deletes it at once. Your images, and what is drawn from them, are never "
    "stored, logged or added to the collection. No other visitor sees them. They are forgotten when you close or "
    "reload this page, when you press “Forget my artwork”, or an hour after your last drop. A downloaded report "
    "holds your name, titles, ranks and shares, but no picture.</p></details>"
)
NO_GENERATOR = (
    "This collection has no drawing model, so no prompts can be drawn and no model can learn from you here."
)
NUMBERS = "The numbers"
STOP = "Stop"
STOPPED = "Stopped."

CLOSEST = "<h2>What the model draws closest to my work</h2>"
NOT_DRAWN = "No prompts were drawn. You can write your own below."
OTHER_PROMPTS = "Draw other prompts"
PROMPTS_LABEL = f"Prompts, one on each line, at most {MOST_PROMPTS}"
FIND_PROMPTS = "Find more prompts near my work"
DRAW = "Draw these prompts"
SEED = "Seed"

CREDITED = "<h2>Would I be credited for the image on Generate?</h2>"
NO_IMAGE = "There is no image yet. Make one on Generate first."
ASK_CREDITED = "Would I be credited?"

LEARNED = "<h2>What if the model had learned from me?</h2>"
EXAMPLE_LIMIT = "This is one of the clearest cases. Most effects are smaller, and some cannot be seen."
KIND = "What do your images have in common?"
THING, STYLE = "They show one thing", "They share a style"
LEARN = "Let the model learn from me"
LEARN_TIME = (
    f"The model learns a new word, {MARK}, from your images, then draws each prompt without and with it. This takes a "
    "few minutes, and others who draw wait meanwhile. Afterwards the model is exactly as before."
)
LEARN_MORE = "More choices"
LEARN_PROMPTS = f"Prompts, one on each line, at most {PROMPTS}; {MARK} stands for your work"
SUBJECT = "What your images show, in a word"
STEPS_LABEL = "Learning steps"
LEARN_DONE = "Done. The model is as it was. It keeps what it learned until you forget your artwork."
LEARN_STOPPED = "Stopped. The model is as it was."

_HOW = "<p class='status'>{}</p>"
HOW_CREDITED = _HOW.format(
    "Your images pass through the same encoder and mappers as every training image. All shares are computed again "
    "with yours among the candidates, and add up to 1. “At least” and “at most” are bounds of the search, not of the "
    "method. "
    "An even share is what each candidate would have if all had the same. As far as this collection knows, its model "
    "did not learn from your images. A high place means that your work looks like images that influence this one, not "
    "that it was used."
)
HOW_SURVEY = _HOW.format(
    "The prompts are captions of the training images most like yours. Each is drawn once, with one seed; another seed "
    "may come closer or less close. Shares are estimates from similarity and no proof of cause."
)
HOW_LEARNED = _HOW.format(
    "This app's shares are calibrated by the same test (Custom Diffusion and “add-one-in”, Wang, Efros, Zhu and Zhang, "
    "ICCV 2023). Only the model's cross-attention and one new word are tuned, with the same seed and noise. So the "
    "difference between two pictures comes from your images and the new word. A model trained on millions of images "
    "would learn far less from yours."
)

WEAK = "A weak match: too different for a copy."
NEAREST_COLUMNS = ("your image", "training image most like it", "similarity", "closest by the copy encoder")
COPY_FROM = "By the copy encoder, we call an image a copy from {:.3f} on; a match below that is weak. "
PIECES = ["number", "title", "rank", "share %", "at least %", "at most %", "similarity", "your image"]
PROMPT_COLUMNS = [
    "prompt",
    "your share %",
    "at least %",
    "at most %",
    "times an even share",
    "rank of your closest",
    "of candidates",
    "your closest",
    "strongest training image %",
]
MOVED = [
    "prompt",
    "share before %",
    "share after %",
    "rank before",
    "rank after",
    "strongest training image before %",
    "strongest training image after %",
]
