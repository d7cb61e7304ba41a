"""The fixed prompts of the pocket recipes; tuning and test prompts are disjoint, and none depends on a split.

`{token}` is the new token of a tuned model (V*), `{category}` the exemplar's word, `{object}` a thing to
draw. Test prompts change style, colour, number and setting, so that layout alone does not find the exemplar.
"""

from __future__ import annotations

TUNING = (
    "{token} {category}",
    "a picture of {token} {category}",
    "a drawing of {token} {category}",
    "{token} {category}, icon",
)
TEST = (
    "{token} {category}, noto style",
    "{token} {category}, twemoji style",
    "{token} {category}, fluent style",
    "{token} {category}, clip art style",
    "blue {token} {category}",
    "red {token} {category}, fluent flat style",
    "two {token} {category}, emojione style",
    "small {token} {category} in the garden",
    "happy {token} {category}, blob style",
    "green {token} {category}, twemoji style",
    "{token} {category} and a star",
    "golden {token} {category}, noto style",
)
STYLE_TUNING = (
    "{category} in the style of {token} art",
    "a picture of {category} in the style of {token} art",
)
STYLE_TEST = (
    "A picture of {object} in the style of {token} art",
    "A painting of {object} in the style of {token} art",
)
STYLE_TEST_OBJECTS = (
    "a cat", "a house", "a tree", "an apple", "a car", "a fish", "a flower", "a boat", "a hat", "a guitar",
    "a bird", "a cup", "a key", "a crown", "a shoe", "a book",
)
_SHEET = {
    "noto style": ("red apple", "cat face", "rocket", "sunflower", "house", "grinning face", "penguin", "violin"),
    "blob style": ("grinning face", "crying face", "cat face", "pizza", "rocket", "tree", "rabbit face", "star"),
    "twemoji style": ("blue heart", "blue apple", "panda", "bicycle", "mushroom", "fish", "umbrella", "car"),
    "fluent style": ("red heart", "carrot", "cat face", "crown", "airplane", "hamburger", "owl", "snowman"),
    "fluent flat style": ("red heart", "green apple", "bus", "tulip", "bear", "key", "clown face", "moon"),
    "emojione style": ("grinning face", "strawberry", "horse", "ship", "rose", "red cat", "trophy", "cactus"),
    "streamline style": ("cup of tea", "rabbit", "sun", "bomb", "camera", "gift", "ghost", "lemon"),
    "clip art style": ("yellow flower", "butterfly", "car", "tree", "fish", "house", "black cat", "old book"),
}
SHEET = tuple(f"{thing}, {style}" for style, things in _SHEET.items() for thing in things)

PROMPTS = {
    "tuning": list(TUNING),
    "test": list(TEST),
    "style_tuning": list(STYLE_TUNING),
    "style_test": [t.replace("{object}", o) for t in STYLE_TEST for o in STYLE_TEST_OBJECTS],
    "sheet": list(SHEET),
}
