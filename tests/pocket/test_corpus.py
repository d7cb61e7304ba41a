"""The recipe of the training images: captions, names, near duplicates."""

from __future__ import annotations

import numpy as np

from pocket.corpus import splits
from pocket.corpus.drawing import Drawing, _person, _title
from pocket.corpus.emoji import Emoji, _thin_people, clean_label, slug
from pocket.corpus.make import captions
from pocket.corpus.sources import ICON_SETS
from pocket.prompts import COLOURED, SHEET


def drawing(
    label: str = "red apple", tags: tuple[str, ...] = (), seed: int = 0, **changes: object
) -> Drawing:
    pixels = (
        np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    )
    values = {
        "source": ICON_SETS[0],
        "name": f"n{seed}",
        "label": label,
        "tags": tags,
        "concept": "1F34E",
        "group": "food-fruit",
        "style": "noto",
        "creator": "Google",
        "pixels": pixels,
    } | changes
    return Drawing(**values)  # type: ignore[arg-type]


def test_captions_add_two_tags_that_say_something_new() -> None:
    long, short = captions(drawing(tags=("*", "143", "apple", "fruit", "red", "hash", "food", "tree")))
    assert short == "red apple, noto style"
    assert long == "red apple, fruit, food, noto style"


def test_names_and_labels_are_cleaned() -> None:
    assert slug("Man’s shoe") == "mans-shoe"
    assert clean_label("Keycap: “A”, big") == "keycap a big"
    assert _person("Ann Lee (ann@x.org)") == "Ann Lee"
    assert _person("ann@x.org") == "ann"
    assert _title("Clipart by Nicu Buculei - nosmoke", "nosmoke_nicu_buculei_01", "Nicu Buculei") == "nosmoke"
    assert _title("Old  Owl 02", "x", "Ann") == "old owl"


def test_one_picture_stays_of_three_genders() -> None:
    people = [
        Emoji(str(i), label, (), "people-body", "person-role")
        for i, label in enumerate(["man mechanic", "woman mechanic", "mechanic", "woman", "man dancing"])
    ]
    assert {e.label for e in _thin_people(people)} == {"mechanic", "woman", "man dancing"}


def test_near_duplicates_keep_the_first_and_only_the_first() -> None:
    first, other = drawing(seed=1), drawing(seed=2)
    noisy = first.pixels.astype(int) + np.random.default_rng(3).integers(-3, 4, first.pixels.shape)
    again = drawing(seed=9, pixels=noisy.clip(0, 255).astype(np.uint8))
    kept, dropped = splits.drop_near_duplicates([first, other, again])
    assert [d.id for d in kept] == [first.id, other.id]
    assert [(d.dropped.id, d.kept.id) for d in dropped] == [(again.id, first.id)]


def test_the_sheets_ask_64_and_40_different_things() -> None:
    assert len(SHEET) == len(set(SHEET)) == 64
    assert len(COLOURED) == len(set(COLOURED)) == 40
