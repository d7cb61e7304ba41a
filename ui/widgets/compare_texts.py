"""All fixed texts of the tab Compare."""

from __future__ import annotations

NOTHING = (
    '<div class="headline spread"><h2>Nothing to compare yet</h2><p>Generate or upload an image on the first tab.</p>'
    "</div>"
)
NOW = "the image shown now"
IMAGE = "Image on the {}"
COLLECTION = "Collection"
METHOD = "Encoder and mappers"
TOP = "Images compared on each side"
GALLERY = "Training images on the {}"
PLOT = "Rank on the left and on the right; a line joins both ranks of an image"
FRAMED = "Framed: on both sides."
NO_SHARES = "No shares, because nothing shows that a model trained on this collection made the image."
GONE = "that image is no longer kept; choose a later one."

TWO_COLLECTIONS = (
    "These are two collections. A share is a part of the influence of one whole training set, so shares of different "
    "collections cannot be compared. Which images are found can. Images count as the same if their files are; where "
    "pictures are not stored, if their links or names are."
)
TWO_METHODS = "Each method has its own scale. Compare which images are found and in what order, not their {}."
ONE_METHOD = "Both use one method and one collection, so their {} can be compared."

OVERLAP = "images on both sides, as a part of all that are listed (Jaccard index)"
ORDER = "Kendall's tau over the shared images: +1 is the same order, -1 the reverse"
BY_FILES = "counted by equal files"
