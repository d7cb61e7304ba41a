"""All fixed texts of the tab Regions."""

from __future__ import annotations

WHAT = (
    '<div class="headline spread"><h2>Which part of the image?</h2><p>This is exploratory. The part is treated as '
    "an image of its own. The scale for shares was fitted on whole images, so trust the order here more than the "
    "shares.</p></div>"
)
KIND = "Choose a part"
BOX, PAINT = "with a box", "by painting"
PREVIEW = "Click two opposite corners, or move the edges below"
PREVIEW_ALT = "the box on “{}”; click two opposite corners"
LOOK_BOX = "Attribute the box"
PAINT_OVER = "Paint over the part"
LOOK_PAINT = "Attribute the painted part"
NOT_YET = (
    '<p class="sentence">Choose a part of the image and press the button. The training images closest to it appear '
    "here, with their similarities.</p>"
)
CUT = "The chosen part"
CUT_ALT = "the chosen part of “{}”"
CLOSEST = "Closest training images"
TABLE = "The same as a table"
COLUMNS = {
    "rank": "number",
    "similarity": "number",
    "rank for the whole image": "str",
    "share %, on the scale of whole images": "number",
    "caption": "str",
    "maker": "str",
    "licence": "str",
    "id": "str",
}
"""Of the table, with the kind of what is in them."""

GRID = "Whose work is closest to each field?"
GRID_BY = "Colour by"
GRID_CELLS = "Fields along each side"
NO_IMAGE = '<p class="sentence">Nothing to look at yet. Generate or upload an image on the first tab.</p>'
ALL_BLANK = '<p class="sentence">All fields show only background.</p>'

KNOW = "How do we know?"
HOW_GRID = (
    "<p>Each field is looked at with its surroundings, in a window twice as wide. It takes the colour of the one "
    "training image whose features are closest. A name with many training images often comes up by chance. So compare "
    "its part of the fields with its part of the training set.</p>"
)
NOT_MEASURED = "<p>How often a region finds the right image was not measured for this collection.</p>"
MEASURED = (
    "<p>For this test, {cases} drawings that no model had seen were pasted at half size into a corner of other such "
    "drawings. They were also added to the candidates. How often was the right one first, or among the first ten, of "
    "{candidates:,}? “Box off by 25%” means that the box lies a quarter of its width too far in, across and down. "
    "Intervals are 95%. Measured {date}.</p>"
)
MEASURED_TABLE = "How often a region finds the right image"
MEASURED_COLUMNS = ("looked at", "first", "among the first ten")
READ_MEASURED = (
    "<p>Compare the rows: they show what it costs to draw the box loosely, or to take the whole image. The pasted "
    "drawings are smaller copies of the right image. A generator seldom draws such copies, so expect less of real "
    "images.</p>"
)
