"""All fixed texts of the tab Training set."""

from __future__ import annotations

ANY = "any"
WORDS = "Search by words or maker"
EXAMPLE = "rabbit"
MAKER, STYLE, LICENCE = "Maker", "Style", "Licence"
IMAGES = "Training images"
BEFORE, PAGE, AFTER = "← Previous", "Page", "Next →"
REOPEN = "Open the place in the address"

MAP = "Map of the training set"
COLOUR_BY = "Colour by"
MAP_CHOSEN = "Show what was chosen on the map"
MAP_HELP = (
    "Each point is a training image; those that look alike to the encoder lie together, while directions and large "
    "distances mean nothing. Click a point, or draw around several, to see the images below."
)
MAP_SAMPLE = "{:,} of the {:,} points are drawn, chosen at random; an outline lists all images in it."
MAP_HERE = "The star is “{}”, placed among its nearest training images."

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
    "To object to the use of a picture, ask whoever published these training images or runs this app: they gave no "
    "address to write to."
)
