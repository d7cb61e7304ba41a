"""The command line as a user meets it: output, JSON alone on stdout, one-line errors, exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.finding import LISTED
from attribution_core.attribution.origin import MadeBy
from attribution_core.cli.main import app
from attribution_core.collection.collection import Collection
from attribution_core.common.images import read_recipe
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.generation.generator import GeneratedImage, Generator
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.tuning.customization import Customization
from attribution_core.reports.wording.headline import headline
from attribution_core.reports.wording.origin import ORIGIN
from attribution_core.retrieval.rest import Rest, RestKind
from attribution_core.settings import Settings
from tests.support.certificates import issue
from tests.support.fakes import fake_collection, shape_image, shape_rows
from tests.support.images import save_png
from tests.support.tiny_pipeline import make_pocket_like, save_example
from ui.services.app import Services


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_collection(tmp_path_factory.mktemp("cli") / "shapes", n=60).path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pocket_like(tmp_path_factory.mktemp("tiny") / "generator")


@pytest.fixture
def query(tmp_path: Path) -> Path:
    shape_image(7).save(tmp_path / "query.png")
    return tmp_path / "query.png"


def test_attribute_prints_the_closest_first_and_the_rest(shapes: Path, query: Path) -> None:
    result = run("attribute", query, "--collection", shapes, "--top", 3)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert lines[0].split()[0] == "1"
    assert "black circle, flat style; Ben, CC0-1.0" in lines[0]
    assert "all 57 other training images" in lines[3]


_EXACT = "Where no interval is given, the influence is exact to the digits shown"


def test_an_interval_is_printed_only_where_its_ends_differ(
    shapes: Path, query: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run("attribute", query, "--collection", shapes, "--top", 3).stdout
    assert printed.count(_EXACT) == 1 and "(interval)" not in printed and "% to " not in printed
    assert printed.splitlines()[3] == "rank  influence  similarity  caption; creator, licence"
    full = Attributor(Collection.open(shapes)).attribute(shape_image(7), LISTED, 0.05).head(3)
    rest = full.hits.rest
    one_bin = Rest(*([[float(value)]] for value in (57, 0.5, -0.5, 1.0)))
    sampled = replace(rest, kind=RestKind.SAMPLED, sample=rest.mean, sample_bin=np.arange(rest.mean.shape[1]))
    for others, exact in ((one_bin, False), (sampled, False), (rest, True)):
        known = replace(full, hits=replace(full.hits, rest=others))
        monkeypatch.setattr(Attributor, "attribute", lambda *_, known=known, **__: known)
        printed = run("attribute", query, "--collection", shapes, "--top", 3).stdout
        assert (_EXACT in printed) is exact
        assert printed.count("% to ") == (0 if exact else 3), printed


def test_json_is_alone_on_stdout_and_sums_to_one(shapes: Path, query: Path) -> None:
    result = run("attribute", query, "--collection", shapes, "--top", 60, "--json")
    loaded = json.loads(result.stdout)
    assert loaded["top"][0]["id"] == "shape/0007"
    assert sum(t["influence"] for t in loaded["top"]) + loaded["rest"] == pytest.approx(1.0, abs=1e-9)
    assert [t["rank"] for t in loaded["top"]] == list(range(1, 61))


def test_json_says_what_the_file_says_and_which_images_opted_out(tmp_path: Path, query: Path) -> None:
    folder = fake_collection(tmp_path / "shapes", n=20).path
    rows = [dict(row, opted_out="noai: here" if k == 7 else "") for k, row in enumerate(shape_rows(20))]
    Corpus.write(folder / "corpus/train-core.parquet", rows)
    asked = ("--collection", folder, "--json")
    loaded = json.loads(run("attribute", query, *asked).stdout)
    assert loaded["credentials"] is None
    marks = {one["id"]: one["opted_out"] for one in loaded["top"]}
    assert marks.pop("shape/0007") == "noai: here" and set(marks.values()) == {""}
    made = GeneratedImage(shape_image(7), Recipe("cat", 3, generator="pocket/generator"))
    issued = issue(tmp_path / "certificates")
    query.write_bytes(issued.signer.sign(made.encode("png", "Ada"), "png", title="cat", generator="pocket"))
    told = json.loads(run("attribute", query, *asked).stdout)["credentials"]
    assert (told["prompt"], told["prompt_writer"], told["opt_out"]) == ("cat", "Ada", "")
    assert (told["signature"]["state"], told["signature"]["signer"]) == ("valid", "Ada, Tests")
    assert "Prompt: cat" in told["says"]


def test_attribute_begins_with_what_was_found_and_what_is_known_of_the_making(
    shapes: Path, query: Path
) -> None:
    found = headline(Attributor(Collection.open(shapes)).attribute(shape_image(7), LISTED))
    for said, known in (([], MadeBy.UNKNOWN), (["--made-by-this-model"], MadeBy.SAID_SO)):
        for top in (1, 60):
            result = run("attribute", query, "--collection", shapes, "--top", top, *said)
            assert result.stdout.splitlines()[:2] == [f"{found}.", ORIGIN[known]], result.output
        told = json.loads(run("attribute", query, "--collection", shapes, "--json", *said).stdout)
        assert told["made_by"] == str(known)


def test_a_recipe_says_who_made_the_image_and_a_damaged_one_is_a_note(tmp_path: Path, query: Path) -> None:
    folder = fake_collection(tmp_path / "shapes", n=20).path
    make_pocket_like(folder / "generator")
    own, file = Generator.open(folder / "generator").sha256, tmp_path / "made.png"
    recipe = Recipe("red cat", 1, 4, 2.0, "shapes", own).to_dict()
    for values, known in (
        (recipe, "this generator"),
        (recipe | {"generator_sha256": "0" * 64}, "unknown"),
        (recipe | {"seed": "many"}, "unknown"),
        (None, "unknown"),
    ):
        save_png(shape_image(3), file, values)
        result = run("attribute", file, "--collection", folder, "--json")
        assert json.loads(result.stdout)["made_by"] == known, values
        damaged = values is not None and values["seed"] == "many"
        assert ("note: the recipe in 'made.png' is ignored: " in result.stderr) is damaged
        assert result.stderr.count("\n") == damaged


@pytest.fixture(scope="module")
def styled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection whose captions name styles, most of them noto, with a tiny generator and no example."""
    folder = tmp_path_factory.mktemp("styled") / "shapes"
    rows = shape_rows(8)
    for k, row in enumerate(rows):
        row["style"] = "blob" if k < 2 else "noto"
        row["short_caption"] = f"{row['short_caption']}, {row['style']} style"
    fake_collection(folder, n=8)
    Corpus.write(folder / "corpus/train-core.parquet", rows)
    make_pocket_like(folder / "generator")
    return folder


def test_generate_adds_the_style_that_the_app_does_or_another_or_none(
    styled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTRIBUTION_COLLECTION", str(styled))
    out = tmp_path / "made.png"

    def drawn(*asked: str) -> str:
        done = run("generate", *asked, "--steps", 1, "--out", out, "--device", "cpu")
        assert done.exit_code == 0, done.output
        recipe = read_recipe(out)
        assert recipe is not None and f"“{recipe['prompt']}”" in done.stdout
        return str(recipe["prompt"])

    assert Services.open(Settings(collection=styled)).usual_style == "noto"
    assert drawn("a red bar") == "red bar, noto style"
    assert drawn("red bar, blob style") == "red bar, blob style"
    assert drawn("a red bar", "--style", "blob") == "red bar, blob style"
    assert drawn("a red bar", "--style", "none") == "a red bar"
    assert drawn("") == ""
    assert drawn("a red bar", "--generator", str(styled / "generator")) == "a red bar"
    save_example(styled, "1.png", shape_image(1), Recipe("red cat, blob style", 1, 4, 2.0))
    assert Services.open(Settings(collection=styled)).usual_style == "blob"
    assert drawn("a red bar") == "red bar, blob style"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--style", "nota"), "unknown style 'nota'; did you mean 'noto'? Known: noto, blob, none."),
        (("--style", "noto", "--generator", "sdxl"), "'sdxl' is another; write the style into the prompt."),
    ],
)
def test_a_style_that_cannot_be_added_is_one_line(
    styled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], words: str
) -> None:
    monkeypatch.setenv("ATTRIBUTION_COLLECTION", str(styled))
    done = run("generate", "a red bar", *asked, "--out", tmp_path / "made.png")
    assert done.exit_code == 2 and done.stderr.startswith("error: ") and done.stderr.endswith(f"{words}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["attribute", "missing.png"],
        ["attribute", "QUERY", "--collection", "nowhere"],
        ["attribute", "QUERY", "--top", "0"],
        ["attribute", "QUERY", "--temperature", "-1"],
        ["attribute", "QUERY", "--device", "quantum"],
        ["index", "nowhere", "--out", "x"],
        ["index", "SHAPES", "--out", "x", "--encoder", "clop-vit"],
        ["generate", "a cat", "--generator", "nowhere"],
        ["customize", "QUERY", "--category", "cat", "--out", "x", "--generator", "nowhere"],
        ["customize", "missing.png", "--category", "cat", "--out", "x", "--generator", "TINY"],
        ["customize", "EMPTY", "--category", "cat", "--out", "x", "--generator", "TINY"],
        ["customize", "QUERY", "--category", "cat", "--out", "x", "--generator", "TINY", "--steps", "0"],
    ],
)
def test_mistakes_end_with_one_line_and_code_two(
    arguments: list[str],
    shapes: Path,
    query: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTRIBUTION_COLLECTION", str(shapes))
    (tmp_path / "empty").mkdir()
    names = {"QUERY": query, "SHAPES": tmp_path, "TINY": tiny, "EMPTY": tmp_path / "empty"}
    filled = [str(names.get(a, a)) for a in arguments]
    if "quantum" in filled:  # the shapes' encoder needs no device; the shipped one does
        monkeypatch.delenv("ATTRIBUTION_COLLECTION")
    result = run(*filled)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_index_then_attribute_over_ones_own_folder(tmp_path: Path, query: Path) -> None:
    folder = tmp_path / "art"
    folder.mkdir()
    for i in range(5, 9):
        shape_image(i).save(folder / f"{i}.png")
    (folder / "bad.png").write_text("no")
    result = run("index", folder, "--out", tmp_path / "mine", "--encoder", "rgb-thumbnail")
    assert result.exit_code == 0, result.output
    assert "4 images, 1 skipped" in result.stdout
    assert "skipped bad.png" in result.stderr
    found = run("attribute", query, "--collection", tmp_path / "mine", "--temperature", 0.05, "--json")
    assert json.loads(found.stdout)["top"][0]["id"] == "7.png"


def test_customize_writes_what_was_learned_and_says_how_to_name_it(
    tmp_path: Path, query: Path, tiny: Path
) -> None:
    result = run(
        "customize",
        query,
        "--category",
        "black circle",
        "--out",
        tmp_path / "learned",
        "--generator",
        tiny,
        "--steps",
        2,
        "--batch-size",
        2,
    )
    assert result.exit_code == 0, result.output
    assert "learned from 1 image," in result.stdout
    assert Customization.load(tmp_path / "learned").category == "black circle"


def test_encoders_lists_every_row() -> None:
    rows = json.loads(run("encoders", "--json").stdout)
    assert [r["name"] for r in rows] == list(ENCODERS)
    table = run("encoders").stdout
    assert all(name in table for name in ENCODERS)


def test_help_explains_every_command() -> None:
    output = run("--help").output
    for command in ("attribute", "generate", "customize", "index", "encoders"):
        assert command in output


def test_artwork_answers_for_images_and_prompts(shapes: Path, query: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for seed in (7, 900):
        shape_image(seed).save(tmp_path / f"mine/piece-{seed}.png")
    (tmp_path / "mine/notes.txt").write_text("no image")
    result = run("artwork", tmp_path / "mine", "--artist", "Ada", "--image", query, "--collection", shapes)
    assert result.exit_code == 0, result.output
    assert "“piece-7” would be as close as “black circle, flat style”" in result.stdout
    told = json.loads(
        run("artwork", tmp_path / "mine", "--image", query, "--collection", shapes, "--json").stdout
    )
    assert [p["title"] for p in told["images"][0]["pieces"]] == ["piece-7", "piece-900"] and told[
        "survey"
    ] is None
    refused = run("artwork", tmp_path / "mine", "--collection", shapes)
    assert refused.exit_code == 2 and "has no generator" in refused.stderr


def test_artwork_draws_prompts(tmp_path: Path) -> None:
    folder = fake_collection(tmp_path / "shapes", n=20).path
    make_pocket_like(folder / "generator")
    shape_image(900).save(tmp_path / "mine.png")
    (tmp_path / "prompts.txt").write_text("red cat\n\nblue dog\n")
    asked = ["artwork", tmp_path / "mine.png", "--collection", folder, "--prompts", tmp_path / "prompts.txt"]
    told = json.loads(run(*asked, "--json").stdout)
    assert {p["prompt"] for p in told["survey"]["prompts"]} == {"red cat", "blue dog"} and told[
        "images"
    ] == []
    shown = run(*asked)
    assert "comes closest" in shown.stdout and shown.stdout.strip().splitlines()[-1].endswith(
        ("red cat", "blue dog")
    )
    missing = run(*asked[:-1], tmp_path / "none.txt")
    assert missing.exit_code == 2 and "cannot be read" in missing.stderr


def test_a_second_opinion_ranks_by_both_methods(tmp_path: Path, shapes: Path) -> None:
    collection = fake_collection(tmp_path / "own", n=30).path
    make_pocket_like(collection / "generator")
    result = run(
        "second-opinion", "red cat", "--seed", 3, "--collection", collection, "--json", "--device", "cpu"
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [row["by_unlearning"] for row in told["images"]] == list(range(1, 31))
    assert sorted(row["by_similarity"] for row in told["images"]) == list(range(1, 31))
    assert told["agreement"]["low"] <= told["agreement"]["value"] <= told["agreement"]["high"]
    plain = run(
        "second-opinion", "red cat", "--seed", 3, "--collection", collection, "--top", 2, "--device", "cpu"
    )
    assert [line.split()[0] for line in plain.stdout.splitlines()[1:3]] == ["1", "2"]
    for arguments, words in (
        (("second-opinion", "cat", "--collection", shapes), "no generator"),
        (("second-opinion", "cat", "--top", 0), "top is 0"),
        (("second-opinion", "cat", "--seed", -1, "--collection", collection), "seed"),
    ):
        wrong = run(*arguments)
        assert wrong.exit_code == 2 and words in wrong.stderr and wrong.stdout == ""


@pytest.mark.parametrize("name", ["made.png", "made.jpg", "made.webp"])
def test_generate_signs_and_attribute_shows_it(
    name: str, styled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTRIBUTION_COLLECTION", str(styled))
    out, own = tmp_path / name, issue(tmp_path / "own")
    asked = ("generate", "a red bar", "--steps", 1, "--out", out, "--device", "cpu", "--style", "none")
    monkeypatch.setenv("ATTRIBUTION_PROMPT_WRITER", "Ada")
    assert run(*asked, "--prompt-writer", "Ben").exit_code == 0
    assert run("attribute", out).stdout.count("Prompt written by: Ben") == 1
    plain = out.read_bytes()
    monkeypatch.setenv("ATTRIBUTION_C2PA_CERTIFICATE", str(own.certificate))
    refused = run(*asked)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "ATTRIBUTION_C2PA_KEY" in refused.stderr and out.read_bytes() == plain
    monkeypatch.setenv("ATTRIBUTION_C2PA_KEY", str(own.key))
    assert run(*asked).exit_code == 0
    shown = run("attribute", out).stdout
    assert "Prompt written by: Ada" in shown and "Signed by Ada, Tests. The signature fits" in shown
    assert "Estimate: an estimate of influence, not a record:" in shown
    assert "nobody on this installation's list" in shown
    monkeypatch.setenv("ATTRIBUTION_C2PA_TRUST", str(own.root))
    assert "the signer is on this installation's list" in run("attribute", out).stdout
    own.key.write_text("junk")
    assert run(*asked).exit_code == 2
    assert "the signer is on" in run("attribute", out).stdout
