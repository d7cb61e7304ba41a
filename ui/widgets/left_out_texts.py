"""All fixed texts of the part Left out of the tab Evidence."""

from __future__ import annotations

NONE = (
    '<div class="headline spread"><h2>Not measured for this collection</h2><p>To see what leaving images out does, '
    "many generators have to be trained, each without some of the images. For the pocket collection, <code>python -m "
    "pocket.counterfactual</code> does it.</p></div>"
)
TITLE = "What if these images had not been there?"
HEAD = (
    "<p>The most direct test of influence is to leave images out and train again. {models} small generators were "
    "trained for it: one on {training} drawings in five styles, the others on a part of them.</p>"
)
FOUND = (
    "<p>Do shares predict what leaving out does? 1 would be perfect, 0 is chance. The shares of {method} score "
    "{share:.2f}, its similarities before calibration {similarity:.2f}. Without the style with the largest share, the "
    "generator's loss on its image rises by {rise:.0%}; without another style, by {others:.0%}.</p>"
)
STYLE, ASKED, PLOT = (
    "Leave out all drawings in this style",
    "Images",
    "Score of each method, with 95% intervals",
)
WITH, WITHOUT = "trained on all", "without this style"
PAIRS = (
    "<p class='status'>Each pair has the same prompt and the same noise. What differs comes from the drawings that the "
    "second generator never saw.</p>"
)
MADE, HELD_OUT = "Made by the generator", "Drawings that no generator saw"
METHODS = (
    "<h3>Which method predicts it?</h3><p class='status'>{halves} generators saw random halves of the drawings. If a "
    "method is right, an image is worse under those that lack what it credits. The score (linear datamodeling score) "
    "compares the losses that a method predicts with the actual ones. It is their rank correlation.</p>"
)
COLUMNS = ("Method", "Score", "Right style", "Loss without it", "Without another")
TABLE = "Scores of all methods"
NOTHING = "<p class='status'>No method predicts anything here: every interval holds 0.</p>"
ROWS = (
    "<p class='status'>Right style: how often the style that a method credits is the one whose absence raises the loss "
    "most; guessing reaches {chance:.0%}. Then by how much the loss rises without the credited style, and without "
    "another one; more is worse. “The prompt's own drawing, alone” is no method but a yardstick. All credit goes to "
    "the drawing whose words the prompt repeats.</p>"
)
LIMITS = (
    "<p class='status'>Measured on {date}. These generators are smaller than the one of this app and saw fewer "
    "drawings, each more often. So they often repeat the drawing whose words they are given, and the scores mostly "
    "tell whether a method finds it. What holds for these need not hold where influence is spread. How far chance in "
    "training limits the scores is not measured yet.</p>"
)
