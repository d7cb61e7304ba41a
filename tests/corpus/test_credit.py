"""Makers by name: individuals first, publishers of icon sets as what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit, maker_names, makers_of, title_and_makers
from tests.support.fakes import shape_image, webp

ADA = Credit(id="a", creator="Ada")
GOOGLE = Credit(id="g", caption="red heart, noto style", creator="Google", icon_set=True)


def test_individuals_come_first_and_publishers_are_named_as_such() -> None:
    assert (ADA.maker, GOOGLE.maker, Credit().maker) == ("Ada", "icon set by Google", "maker unknown")
    assert makers_of([GOOGLE, ADA], by=True) == "by Ada, icon set by Google"
    assert makers_of([GOOGLE, GOOGLE]) == "icon set by Google"
    assert maker_names(["Ada", "Ben", "Ada"], by=True) == "by Ada and Ben"
    assert (
        maker_names(["Google", "Microsoft"], ["Google", "Microsoft"]) == "icon sets by Google and Microsoft"
    )
    assert maker_names(["", ""]) == ""


def test_a_work_is_followed_by_its_makers() -> None:
    assert title_and_makers("x", [ADA]) == "“x” by Ada"
    assert title_and_makers("x", [GOOGLE]) == "“x”, icon set by Google"
    assert title_and_makers("x", [Credit()]) == "“x”"


def test_a_sentence_names_the_title_and_the_maker_of_one_image() -> None:
    short = Credit(id="a", caption="a long caption", short_caption="short", creator="Ada")
    assert [c.title for c in (short, GOOGLE, ADA)] == ["short", "red heart, noto style", "a"]
    assert short.title_and_maker == "“short” by Ada"
    assert GOOGLE.title_and_maker == "“red heart, noto style”, icon set by Google"


def test_a_picture_is_described_by_its_caption_and_makers() -> None:
    assert GOOGLE.description == "red heart, noto style, icon set by Google"
    assert ADA.description == "a, by Ada"


def corpus(folder: Path, sources: Any) -> Corpus:
    noto, clip_art = "@iconify-json/noto", "openclipart"
    image = {"bytes": webp(shape_image(1)), "path": "1.png"}
    rows = [
        {"image": image, "id": str(k), "creator": creator, "source": source}
        for k, (creator, source) in enumerate(
            [("Google", noto), ("Ada", clip_art), ("Google", clip_art), ("", noto)]
        )
    ]
    Corpus.write(folder / "train-0.parquet", rows)
    (folder / "card.json").write_text(json.dumps({"what": "x", "sources": sources, "files": {}}))
    return Corpus.open(folder)


def test_the_card_tells_who_publishes_an_icon_set(tmp_path: Path) -> None:
    told = corpus(
        tmp_path,
        [
            {"package": "@iconify-json/noto", "creator": "Google"},
            {"package": "openclipart", "creator": "Ada"},
        ],
    )
    assert [c.icon_set for c in told.credits(range(4))] == [True, False, False, False]
    assert told.maker("Google or Ada") == "Ada, icon set by Google"
    assert told.maker("Ada or Ben") == "Ada or Ben" and told.maker("not stated") == "not stated"


@pytest.mark.parametrize(
    "sources", [None, "x", 3, ["x", None, {"package": 5}, {"package": "@iconify-json/a"}], {}]
)
def test_a_card_that_says_nothing_useful_makes_nobody_a_publisher(tmp_path: Path, sources: Any) -> None:
    told = corpus(tmp_path, sources)
    assert not any(c.icon_set for c in told.credits(range(4))) and told.maker("Google") == "Google"
