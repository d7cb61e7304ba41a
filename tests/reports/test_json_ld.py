"""JSON-LD: schema.org's words, numbers of the attribution, and nothing where nothing is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.origin import MadeBy
from attribution_core.cli.main import app
from attribution_core.collection.collection import Collection
from attribution_core.corpus.credit import Credit
from attribution_core.corpus.licences import licence_url
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.batch.json_ld import batch_json_ld
from attribution_core.reports.batch.row import BatchRow, batch_row
from attribution_core.reports.batch.summary import BatchSummary
from attribution_core.reports.json_ld import CONTEXT, ledger_json_ld, report_json_ld, training_image_node
from attribution_core.reports.ledger import Ledger, LedgerEntry
from attribution_core.reports.meaning import CAVEAT
from attribution_core.reports.report import make_report
from tests.support.fakes import fake_collection, shape_image


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return fake_collection(tmp_path_factory.mktemp("jsonld") / "shapes", n=60)


def items(node: dict[str, Any]) -> list[dict[str, Any]]:
    listed = node["mainEntity"]["itemListElement"]
    assert [one["position"] for one in listed] == list(range(1, node["mainEntity"]["numberOfItems"] + 1))
    return [one["item"] for one in listed]


def test_a_report_names_makers_and_licences_beside_the_share(shapes: Collection) -> None:
    result = Attributor(shapes).attribute(shape_image(7), 10, made_by=MadeBy.SAID_SO)
    node = json.loads(report_json_ld(make_report(shape_image(7), result, shapes, title="seven")))
    assert node["@context"] == CONTEXT and node["@type"] == "Dataset" and node["description"] == CAVEAT
    assert node["about"] == {"@type": "ImageObject", "name": "seven", "width": 64, "height": 64}
    first, *others = items(node)
    assert len(others) == 9
    assert first["observationAbout"] == {
        "@type": "ImageObject",
        "identifier": "shape/0007",
        "name": "black circle, flat style",
        "creator": "Ben",
        "creditText": "Ben / tests",
        "license": "https://creativecommons.org/publicdomain/zero/1.0/",
        "acquireLicensePage": "https://example.org/7",
        "url": "https://example.org/7",
        "width": 64,
        "height": 64,
    }
    share, similarity = first["variableMeasured"]
    assert share["@type"] == "PropertyValue" and share["name"] == "estimated influence"
    assert (share["value"], share["minValue"], share["maxValue"]) == (
        result.influence[0],
        result.influence_low[0],
        result.influence_high[0],
    )
    assert similarity["value"] == pytest.approx(1, abs=1e-6)


def test_the_command_writes_it_beside_the_report(shapes: Collection, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "seven.png")
    words = [
        "report",
        tmp_path / "seven.png",
        "--out",
        tmp_path / "a.html",
        "--json-ld",
        tmp_path / "a.jsonld",
    ]
    words += ["--collection", shapes.path, "--top", 4, "--made-by-this-model"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    node = json.loads((tmp_path / "a.jsonld").read_text())
    assert node["name"] == "Estimated influence on “seven”" and len(items(node)) == 4


def test_without_shares_likeness_alone_is_stated(shapes: Collection) -> None:
    result = Attributor(shapes).attribute(shape_image(7), 3)
    text = report_json_ld(make_report(shape_image(7), result, shapes, title="seven"))
    assert "estimated influence" not in text and "similar to" in json.loads(text)["name"]
    assert all(len(one["variableMeasured"]) == 1 for one in items(json.loads(text)))


def test_a_ledger_and_a_batch_add_sums(shapes: Collection) -> None:
    result = Attributor(shapes).attribute(shape_image(7), 20, made_by=MadeBy.SAID_SO)
    recipe = Recipe("a shape", seed=3)
    ledger = Ledger.of([LedgerEntry("a shape", "own", result, recipe)], shapes.corpus)
    one, makers, licences = json.loads(ledger_json_ld(ledger))["@graph"]
    assert one["about"]["description"] == "Generated from the prompt “a shape”"
    assert len(items(one)) == 3 and "licence" in licences["name"]
    total = sum(item["variableMeasured"]["value"] for item in items(makers))
    assert total == pytest.approx(1) and items(makers)[-1]["observationAbout"]["name"] == "everything else"
    rows = [
        batch_row("a.png", "0" * 64, result, shapes.corpus, recipe=recipe),
        BatchRow("b.png", problem="no"),
    ]
    summary = BatchSummary.of(rows, shapes, copies_checked=False)
    image, sums = json.loads(batch_json_ld(summary))["@graph"]
    assert image["about"]["sha256"] == "0" * 64 and image["abstract"] == rows[0].headline
    assert items(image)[0]["observationAbout"]["license"].startswith("https://")
    assert sums["description"] == summary.sum_means


def test_strangers_text_stays_text_and_the_unknown_is_left_out() -> None:
    credit = Credit("x", "</script>", link="javascript:alert(1)", licence="my own terms", creator="Ada")
    node = training_image_node(credit)
    assert node["license"] == {"@type": "CreativeWork", "name": "my own terms"}
    assert not {"url", "acquireLicensePage", "width"} & node.keys()
    assert training_image_node(Credit("x")) == {"@type": "ImageObject", "identifier": "x"}
    publisher = training_image_node(Credit("x", creator="Google", icon_set=True))
    assert publisher["creator"] == {"@type": "Organization", "name": "Google"}


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("cc by-nc-sa 3.0", "https://creativecommons.org/licenses/by-nc-sa/3.0/"),
        ("CC0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("apache-2.0", "https://spdx.org/licenses/Apache-2.0.html"),
        ("https://example.org/terms", "https://example.org/terms"),
        ("CC-BY-XX-4.0", ""),
        ("", ""),
    ],
)
def test_licences_have_addresses(name: str, address: str) -> None:
    assert licence_url(name) == address
