"""The fixed prompts of the pocket recipes; tuning, training and test prompts are disjoint.

`{token}` is the new token of a tuned model (V*), `{category}` the exemplar's word, `{object}` a thing to draw. Prompts
of the benchmark change medium, style, colour, number, size and setting, so that layout alone does not find the
exemplar.
"""

from __future__ import annotations

TUNING = (
    "{token} {category}",
    "a picture of {token} {category}",
    "a drawing of {token} {category}",
    "{token} {category}, icon",
)
STYLE_TUNING = (
    "{category} in the style of {token} art",
    "{category}, {token} art",
)
WRITTEN = {
    "train": (
        "two {token} {category} side by side",
        "blue {token} {category}",
        "red {token} {category}, noto style",
        "small {token} {category} in the garden",
        "happy {token} {category}, blob style",
        "{token} {category} and a star, twemoji style",
        "golden {token} {category}, fluent style",
        "very small {token} {category} under a tree",
        "{token} {category} in the snow, emojione style",
        "purple {token} {category}, fluent flat style",
        "a far away {token} {category} on a green hill",
        "close up {token} {category} at night",
        "{token} {category} made of wood, clip art style",
        "orange {token} {category} with a hat",
        "three {token} {category}, streamline style",
        "{token} {category} on a blue background",
    ),
    "test": (
        "green {token} {category}, twemoji style",
        "a pink {token} {category} on the beach",
        "{token} {category} and a red heart, noto style",
        "a very small {token} {category} in the rain, fluent style",
        "zoomed in {token} {category}, yellow",
        "many {token} {category}, emojione style",
        "{token} {category} in the kitchen, clip art style",
        "a black {token} {category} in front of the moon",
        "angry {token} {category}, blob style",
        "a far away {token} {category} above a city",
        "white {token} {category}, fluent flat style",
        "{token} {category} made of stone",
    ),
}
MEDIA = {
    "train": (
        "a noto style icon",
        "a fluent style icon",
        "a clip art style picture",
        "an emojione style icon",
        "a sticker",
        "a pencil drawing",
        "a logo",
        "a stamp",
        "a cartoon",
        "a toy",
        "a poster",
        "a badge",
        "a cookie",
        "a line drawing",
    ),
    "test": (
        "a twemoji style icon",
        "a fluent flat style icon",
        "a blob style icon",
        "a streamline style icon",
        "a painting",
        "a silhouette",
        "a statue",
        "a postcard",
        "a balloon",
        "a black and white drawing",
    ),
}
PROCEDURAL = "{medium} of {token} {category}"
STYLE_OBJECTS = {
    "train": (
        "cat",
        "house",
        "tree",
        "pear",
        "car",
        "fish",
        "flower",
        "boat",
        "hat",
        "guitar",
        "bird",
        "cup",
        "key",
        "crown",
        "shoe",
        "book",
        "bus",
        "horse",
        "pizza",
        "star",
    ),
    "test": (
        "dog",
        "rocket",
        "mushroom",
        "bicycle",
        "lamp",
        "heart",
        "rabbit",
        "chair",
        "cake",
        "train",
        "fox",
        "banana",
        "snowman",
        "camera",
        "butterfly",
        "castle",
    ),
}
STYLE_WRITTEN = {
    "train": (
        "two {object} in the style of {token} art",
        "a blue {object} in the style of {token} art",
        "a happy {object} in the style of {token} art",
        "a small {object} in the style of {token} art",
    ),
    "test": (
        "a red {object} in the style of {token} art",
        "an old {object} in the style of {token} art",
        "a big {object} at night in the style of {token} art",
        "a {object} and a tree in the style of {token} art",
    ),
}
STYLE_PROCEDURAL = (
    "A picture of a {object} in the style of {token} art",
    "A painting of a {object} in the style of {token} art",
)


def benchmark_prompts(part: str, style: bool) -> dict[str, tuple[str, ...]]:
    """Return all templates of a part ("train" or "test") by kind ("written", "procedural"), for objects or styles."""
    if style:
        things = STYLE_OBJECTS[part]
        return {
            "written": tuple(t.replace("{object}", o) for o in things for t in STYLE_WRITTEN[part]),
            "procedural": tuple(t.replace("{object}", o) for o in things for t in STYLE_PROCEDURAL),
        }
    return {
        "written": WRITTEN[part],
        "procedural": tuple(PROCEDURAL.replace("{medium}", medium) for medium in MEDIA[part]),
    }


_SHEET = {
    "noto style": (
        "red apple",
        "cat face",
        "rocket",
        "sunflower",
        "house",
        "grinning face",
        "penguin",
        "violin",
    ),
    "blob style": (
        "grinning face",
        "crying face",
        "cat face",
        "pizza",
        "rocket",
        "tree",
        "rabbit face",
        "star",
    ),
    "twemoji style": ("blue heart", "blue apple", "panda", "bicycle", "mushroom", "fish", "umbrella", "car"),
    "fluent style": ("red heart", "carrot", "cat face", "crown", "airplane", "hamburger", "owl", "snowman"),
    "fluent flat style": ("red heart", "green apple", "bus", "tulip", "bear", "key", "clown face", "moon"),
    "emojione style": ("grinning face", "strawberry", "horse", "ship", "rose", "red cat", "trophy", "cactus"),
    "streamline style": ("cup of tea", "rabbit", "sun", "bomb", "camera", "gift", "ghost", "lemon"),
    "clip art style": ("yellow flower", "butterfly", "car", "tree", "fish", "house", "black cat", "old book"),
}
SHEET = tuple(f"{thing}, {style}" for style, things in _SHEET.items() for thing in things)
_COLOURED = {
    "red": (
        "cat, emojione style",
        "fish, twemoji style",
        "mushroom, noto style",
        "car, fluent style",
        "hat, fluent flat style",
    ),
    "blue": (
        "apple, twemoji style",
        "cat, noto style",
        "bird, fluent style",
        "flower, fluent flat style",
        "house, emojione style",
    ),
    "green": (
        "apple, fluent flat style",
        "heart, noto style",
        "car, twemoji style",
        "dog, blob style",
        "balloon, fluent style",
    ),
    "yellow": (
        "car, noto style",
        "heart, twemoji style",
        "apple, emojione style",
        "butterfly, fluent style",
        "house, fluent flat style",
    ),
    "purple": (
        "apple, noto style",
        "heart, fluent style",
        "cat, fluent flat style",
        "mushroom, twemoji style",
        "fish, emojione style",
    ),
    "pink": (
        "elephant, noto style",
        "star, twemoji style",
        "bus, fluent style",
        "flower, emojione style",
        "apple, fluent style",
    ),
    "black": (
        "heart, fluent flat style",
        "cat, twemoji style",
        "bird, noto style",
        "car, emojione style",
        "apple, clip art style",
    ),
    "white": (
        "heart, emojione style",
        "rabbit, noto style",
        "flower, twemoji style",
        "car, fluent flat style",
        "cat, fluent style",
    ),
}
COLOURED = tuple(f"{colour} {thing}" for colour, things in _COLOURED.items() for thing in things)
