"""The recipe of the region test: what is pasted where, and recalls that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from attribution_core.analyses.regions import boxed
from attribution_core.collection.collection import Collection
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import InvalidInputError
from pocket.evidence.regions import Pasted, RegionSettings, measure, paste
from tests.support.fakes import fake_collection, shape_image, shape_rows, webp


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    opened = fake_collection(tmp_path_factory.mktemp("paste") / "shapes", n=60)
    rows = [
        {
            **row,
            "image": {"bytes": webp(shape_image(500 + i)), "path": ""},
            "exemplar_set": "set" if i >= 12 else "",
        }
        for i, row in enumerate(shape_rows(16))
    ]
    Corpus.write(opened.path / "corpus/exemplars-core.parquet", rows)
    return opened


@pytest.fixture(scope="module")
def exemplars(collection: Collection) -> Corpus:
    return Corpus.open(collection.path / "corpus", split="exemplars")


def test_a_drawing_lies_in_its_corner_and_boxes_are_off_by_what_they_say(exemplars: Corpus) -> None:
    cases = paste(exemplars, RegionSettings(cases=6))
    assert len({case.exemplar for case in cases} | {case.ground for case in cases}) == 12
    assert max(case.exemplar for case in cases) < 12, "no image of a set"
    for case in cases:
        true, off = case.boxes["true box"], case.boxes["box off by 25%"]
        assert {true.x0, true.y0} <= {0.0, 0.5} and true.area == 0.25
        assert abs(true.x0 - off.x0) == abs(true.y0 - off.y0) == 0.125
        small = exemplars.image(case.exemplar).resize((32, 32), resample=1)
        assert boxed(case.image, true).image.tobytes() == small.tobytes()
        ground = np.asarray(exemplars.image(case.ground))
        changed = np.argwhere((np.asarray(case.image) != ground).any(axis=2))
        left, top, right, bottom = true.pixels(case.image.size)
        assert ((changed >= (top, left)) & (changed < (bottom, right))).all()
    again = paste(exemplars, RegionSettings(cases=6))
    assert [c.image.tobytes() for c in again] == [c.image.tobytes() for c in cases]


def test_recall_counts_what_stands_before_the_drawing(collection: Collection, exemplars: Corpus) -> None:
    def case(query: int, exemplar: int) -> Pasted:
        return Pasted(shape_image(query), exemplar, 0, {})

    # The first query is drawing 3 itself; the second is training image 7, which stands before any drawing.
    told = measure(collection, [case(503, 3), case(7, 5)], exemplars)["whole image"]
    assert told["recall@1"]["value"] == 0.5
    assert told["recall@1"]["low"] > 0 and told["recall@1"]["high"] < 1


def test_too_few_drawings_are_refused(exemplars: Corpus) -> None:
    with pytest.raises(InvalidInputError, match="14 single drawings, there are 12"):
        paste(exemplars, RegionSettings(cases=7))
