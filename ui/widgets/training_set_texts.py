"""All fixed texts of the tab Training set."""

from __future__ import annotations

ANY = "any"
WORDS = "Search by words or maker"
EXAMPLE = "rabbit"
MAKER, STYLE, LICENCE = "Maker", "Style", "Licence"
IMAGES = "Training images"
BEFORE, PAGE, AFTER = "← Previous", "Page", "Next →"
REOPEN = "Open the place in the address"

MINE = "<h2>Is my work in here?</h2>"
DROP = "Drop in your image"
PROMISE = "Your image is compared with every training image, then forgotten at once."
NEAREST = "The training images nearest to yours"
YOUR_IMAGE = "your image"
NO_FILE = "no image was given; drop a file, paste an image or choose a file."

DESCRIBED = "Describe this training set for others"
DESCRIPTIONS = (
    "What the collection says of itself, in formats that others read. The training summary is a draft, with what is "
    "unknown marked, and no legal advice."
)

WRONG_LINK = "The link asks for something that is not here: {}"
LINK_IGNORED = "Link ignored"
NO_CONTACT = (
    "This collection gives no contact for objections. Ask whoever published it; its card can name one."
)
