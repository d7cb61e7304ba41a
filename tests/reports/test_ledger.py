"""A ledger: a row an image, and sums that add up to all of them."""

from __future__ import annotations

import csv
import io
import json

import pytest

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.groups import group
from attribution_core.collection.collection import Collection
from attribution_core.errors import InvalidInputError
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.ledger import Ledger, LedgerEntry
from tests.support.fakes import fake_collection, shape_image


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return fake_collection(tmp_path_factory.mktemp("ledger") / "shapes", n=30)


def ledger(shapes: Collection) -> Ledger:
    attributor = Attributor(shapes)
    return Ledger.of(
        [
            LedgerEntry("seven", "own", attributor.attribute(shape_image(7), 5), Recipe("seven, made", 9)),
            LedgerEntry('a, "quoted"\nname', "own", attributor.attribute(shape_image(8), 2)),
        ],
        shapes.corpus,
    )


def test_each_image_is_a_row_with_its_strongest_credits(shapes: Collection) -> None:
    told = ledger(shapes).to_dict()
    first, second = told["queries"]
    assert (first["title"], first["prompt"], first["seed"], first["method"]) == (
        "seven",
        "seven, made",
        9,
        "own",
    )
    assert (first["top_1_id"], first["top_1_creator"]) == ("shape/0007", "Ben")
    assert (second["prompt"], second["seed"]) == ("", None)
    assert second["top_3_id"] is None, "it lists two"
    assert first["listed"] == 5


def test_sums_are_those_of_the_groups(shapes: Collection) -> None:
    told = ledger(shapes)
    by_creator = group([e.attribution for e in told.entries], shapes.corpus)
    assert told.to_dict()["sums"][0] == by_creator.to_dict()
    assert json.loads(told.to_json()) == told.to_dict()


def test_the_csv_holds_rows_and_sums_in_one_table(shapes: Collection) -> None:
    told = ledger(shapes)
    rows = list(csv.DictReader(io.StringIO(told.to_csv())))
    assert [r["title"] for r in rows if r["row"] == "query"] == ["seven", 'a, "quoted"\nname']
    for by in ("creator", "licence"):
        assert sum(float(r["influence"]) for r in rows if r["row"] == by) == pytest.approx(1)
    assert {r["title"] for r in rows if r["row"] == "licence"} == {"CC0-1.0", "everything else"}
    assert float(rows[0]["top_1_influence"]) == told.entries[0].attribution.influence[0]


def test_an_empty_ledger_says_so(shapes: Collection) -> None:
    with pytest.raises(InvalidInputError, match="attribute an image first"):
        Ledger.of([], shapes.corpus)
