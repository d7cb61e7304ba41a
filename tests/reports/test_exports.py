"""A collection as Croissant, data card and training summary: valid, true to the rows, and harmless."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from attribution_core.cli.main import app
from attribution_core.collection.build import build_collection
from attribution_core.collection.opt_outs import OptOutOptions
from attribution_core.common.cards import CARD_NAME, write_card
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError
from attribution_core.reports.exports.croissant import CONFORMS_TO, croissant
from attribution_core.reports.exports.datacard import datacard
from attribution_core.reports.exports.facts import CollectionFacts
from attribution_core.reports.exports.training_summary import (
    DRAFT,
    UNKNOWN,
    summary_markdown,
    summary_page,
    summary_sections,
)
from tests.support.fakes import fake_collection, shape_image, shape_rows

HOSTILE = "<script>alert(1)</script> | **x** [a](javascript:b)\n---\nlicense: none"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    collection = fake_collection(tmp_path_factory.mktemp("exports") / "shapes", n=30)
    said = {"what": "Thirty shapes.", "provider": "Ada & Co", "collected": "2026-05", "languages": "en, de"}
    write_card(collection.path, {**collection.card, **said})
    return collection.path


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_croissant_is_valid_and_its_rows_can_be_read(shapes: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    done = command(shapes, "--as", "croissant", "--out", shapes / "croissant.json")
    assert done.exit_code == 0, done.output
    document = json.loads((shapes / "croissant.json").read_text())
    assert document["conformsTo"] == CONFORMS_TO == "http://mlcommons.org/croissant/1.1"
    assert document["license"] == ["https://creativecommons.org/publicdomain/zero/1.0/"]
    data = mlcroissant.Dataset(str(shapes / "croissant.json"))
    assert not data.metadata.ctx.issues.errors
    rows = list(data.records("images"))
    assert [row["images/id"].decode() for row in rows] == [f"shape/{k:04d}" for k in range(30)]
    assert rows[7]["images/image"].convert("RGB").tobytes() == shape_image(7).tobytes()
    assert rows[7]["images/creator"] == b"Ben" and rows[7]["images/width"] == 64


def test_croissant_names_files_with_their_checksums(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for seed in range(3):
        shape_image(seed).save(tmp_path / "in" / f"{seed}.png")
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(b"no image")
    build_collection(tmp_path / "in", tmp_path / "own", encoder="rgb-thumbnail")
    facts = CollectionFacts.open(tmp_path / "own")
    assert [count for _, count in facts.skipped] == [2]
    document = json.loads(croissant(facts))
    file = document["distribution"][0]
    card = json.loads((tmp_path / "own/corpus" / CARD_NAME).read_text())
    assert file["contentUrl"] == "corpus/train-00000.parquet"
    assert file["sha256"] == card["files"]["train-00000.parquet"]
    assert str(tmp_path) not in json.dumps(document)  # no path of this machine
    assert not {"license", "creator", "version"} & document.keys()  # nothing that nobody said


def test_a_data_card_has_a_head_that_the_hub_reads(shapes: Path) -> None:
    text = datacard(CollectionFacts.open(shapes))
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == ["cc0-1.0"] and head["size_categories"] == ["n<1K"]
    assert head["language"] == ["en", "de"] and head["pretty_name"] == "Shapes"
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "corpus/train-*.parquet"}]
    assert "| Ada | 10 |" in text and "Published by: Ada \\& Co" in text and "Contact: Not known." in text


def answers(folder: Path) -> dict[str, Any]:
    return {a.field: a for s in summary_sections(CollectionFacts.open(folder)) for a in s.answers}


def test_a_training_summary_says_what_is_known_and_marks_the_rest(shapes: Path) -> None:
    told = answers(shapes)
    assert told["Images"].words.startswith("30 images, sides of 64 px")
    assert told["Latest date of acquisition"].words == "2026-05"
    assert told["Domains of the images' links"].table.rows == (("example.org", 30),)
    assert not told["Data of users of the provider's services"].is_known
    text, page = summary_markdown(CollectionFacts.open(shapes)), summary_page(CollectionFacts.open(shapes))
    unknown = sum(not answer.is_known for answer in told.values())
    assert text.count(UNKNOWN) == page.count(UNKNOWN) == unknown > 8
    assert "no legal advice" in DRAFT and DRAFT in text and "no legal advice" in page
    for number in ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.1", "3.2", "3.3"):
        assert f"### {number} " in text and f"<h3>{number} " in page


def test_only_datasets_with_an_address_count_as_publicly_available(tmp_path: Path) -> None:
    folder = fake_collection(tmp_path / "shapes", n=9).path
    names = ("icons", "icons", "icons", "no-link", "holiday photos", "holiday photos", "", "", "")
    rows = [{**row, "source": name} for row, name in zip(shape_rows(9), names, strict=True)]
    Corpus.write(folder / "corpus/train-core.parquet", rows)
    listed = [
        {"package": "icons", "version": "2", "link": "https://icons.example/"},
        {"package": "no-link", "version": "1", "link": "file:///home/ada"},
        {"package": "unused", "link": "https://unused.example/"},
    ]
    write_card(folder / "corpus", {"sources": listed})
    sections = {s.title[:3]: s for s in summary_sections(CollectionFacts.open(folder))}
    (public,), (other,) = sections["2.1"].answers, sections["2.6"].answers
    assert public.table is not None and other.table is not None
    assert public.table.rows == (("icons", "2", "https://icons.example/", 3),)
    assert other.table.rows == (("holiday photos", 2), ("no-link", 1))
    (folder / "corpus" / CARD_NAME).unlink()
    sections = {s.title[:3]: s for s in summary_sections(CollectionFacts.open(folder))}
    assert not sections["2.1"].answers[0].is_known


def test_a_training_summary_counts_opt_outs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for seed in range(3):
        shape_image(seed).save(tmp_path / "in" / f"{seed}.png")
    (tmp_path / "list.txt").write_text("1.png\n")
    build_collection(
        tmp_path / "in",
        tmp_path / "own",
        encoder="rgb-thumbnail",
        opt_outs=OptOutOptions(files=(tmp_path / "list.txt",)),
    )
    told = answers(tmp_path / "own")
    assert "1 were left out, and 0 kept" in told["Measures taken before and during collection"].words
    assert told["Images left out"].is_known and told["Near-duplicates"].is_known
    facts = CollectionFacts.open(tmp_path / "own")
    assert "1 were left out, and 0 kept" in datacard(facts)
    assert "Licences are not stated for 2 of 2 images." in json.loads(croissant(facts))["description"]


def test_the_top_tenth_of_the_domains_is_listed(tmp_path: Path) -> None:
    fake_collection(tmp_path / "shapes", n=300)
    rows = [{**row, "link": f"https://www.site-{k // 2}.org/a"} for k, row in enumerate(shape_rows(300))]
    rows[0]["link"], rows[1]["link"] = "http://[", "ftp://site-0.org"
    Corpus.write(tmp_path / "shapes/corpus/train-core.parquet", rows)
    answer = answers(tmp_path / "shapes")["Domains of the images' links"]
    assert len(answer.table.rows) == 15 and answer.table.rows[0] == ("site-1.org", 2)
    assert answer.words.startswith("298 of 300 images have a web link, to 149 domains; the first 15")


def test_a_collection_that_says_nothing_is_described_as_unknown(tmp_path: Path) -> None:
    bare = [{"image": row["image"]} for row in shape_rows(4)]
    fake_collection(tmp_path / "shapes", n=4)
    Corpus.write(tmp_path / "shapes/corpus/train-core.parquet", bare)
    facts = CollectionFacts.open(tmp_path / "shapes")
    head = yaml.safe_load(datacard(facts).split("---\n")[1])
    assert head["license"] == ["other"] and "language" not in head
    assert "Not known." in datacard(facts) and "licence" not in json.loads(croissant(facts))
    assert answers(tmp_path / "shapes")["Types of content"].table is None


def test_strangers_text_stays_text(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=4)
    write_card(collection.path, {**collection.card, "name": HOSTILE, "what": HOSTILE})
    rows = [{**row, "creator": HOSTILE, "source": HOSTILE, "licence": HOSTILE} for row in shape_rows(4)]
    Corpus.write(tmp_path / "shapes/corpus/train-core.parquet", rows)
    facts = CollectionFacts.open(tmp_path / "shapes")
    for text in (datacard(facts), summary_markdown(facts)):
        body = re.sub(r"\\.", "", text.split("---\n", 2)[-1])  # what is escaped is text
        assert "<script" not in body and "](javascript" not in body
        for line in body.splitlines():
            assert not line.startswith("|") or line.count("|") in (3, 5, 6), line
    assert yaml.safe_load(datacard(facts).split("\n---\n")[0].removeprefix("---\n"))["pretty_name"] == HOSTILE
    assert "<script" not in summary_page(facts)
    assert json.loads(croissant(facts))["name"] == HOSTILE


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("croisant", "a.json", "did you mean 'croissant'"),
        ("croissant", "a.md", "must end in .json"),
        ("training-summary", "a.docx", "must end in .md or .html"),
        ("datacard", "there.md", "is there already"),
        ("datacard", "there.md/a.md", "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(shapes: Path, tmp_path: Path, kind: str, name: str, words: str) -> None:
    (tmp_path / "there.md").write_text("mine")
    done = command(shapes, "--as", kind, "--out", tmp_path / name)
    assert done.exit_code == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert (tmp_path / "there.md").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ([], "--as FORMAT and --out FILE"),
        (["--as", "datacard"], "--out FILE"),
        (["--out", "a.md"], "--as FORMAT"),
    ],
)
def test_what_is_missing_is_said_with_the_formats(given: list[str], missing: str) -> None:
    done = command("nowhere", *given)
    formats = "croissant (.json), datacard (.md) and training-summary (.md or .html)"
    assert (done.exit_code, done.stderr) == (
        2,
        f"error: an export needs {missing}; the formats are {formats}.\n",
    )


def test_no_collection_and_a_damaged_one_are_one_sentence(tmp_path: Path) -> None:
    done = command(tmp_path / "nowhere", "--as", "datacard", "--out", tmp_path / "a.md")
    assert done.exit_code == 2 and "does not exist" in done.stderr and not (tmp_path / "a.md").exists()
    fake_collection(tmp_path / "shapes", n=4)
    (tmp_path / "shapes/skipped.json").write_text('{"a": 1}')
    with pytest.raises(CheckpointError, match=r"skipped\.json' cannot be read"):
        datacard(CollectionFacts.open(tmp_path / "shapes"))
