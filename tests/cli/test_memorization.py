"""The command `memorization`: files, folders and prompts; JSON, HTML and what goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attribution_core.cli.main import app
from tests.support.fakes import copying_collection, fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copying_collection(tmp_path_factory.mktemp("copies") / "shapes").path
    make_pocket_like(folder / "generator")
    return folder


def run(*arguments: object, code: int = 0) -> str:
    done = RUNNER.invoke(app, ["memorization", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def test_files_and_folders_are_looked_at(collection: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    shape_image(11).save(folder / "copy.png")
    shape_image(300).save(tmp_path / "other.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    told = json.loads(run(tmp_path / "a", tmp_path / "other.png", "--collection", collection, "--json"))
    assert [item["title"] for item in told["items"]] == ["b/copy.png", "other.png"]
    first = told["items"][0]
    assert first["is_copy"] is True and first["match"]["id"] == "shape/0011"
    assert first["threshold_precision"] > 0.85 and "cosine" in first["how"]
    text = run(tmp_path / "a", "--collection", collection)
    assert "COPY" in text and "How do we know?" in text and "The image is most likely a copy" in text


def test_prompts_are_made_and_counted(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("red cat\n\n  blue   dog \nred cat\n")
    out = tmp_path / "scan.html"
    told = json.loads(
        run(
            "--prompts",
            tmp_path / "prompts.txt",
            "--seeds",
            2,
            "--steps",
            2,
            "--collection",
            collection,
            "--json",
            "--html",
            out,
        )
    )
    assert told["images"] == 4 and {p["prompt"] for p in told["prompts"]} == {"red cat", "blue dog"}
    assert all(item["noise_signal"]["mean"] > 0 for item in told["items"])
    assert {(item["prompt"], item["seed"]) for item in told["items"]} == {
        (p, s) for p in ("red cat", "blue dog") for s in (1, 2)
    }
    assert "blue dog" in out.read_text() and "<script" not in out.read_text()


def test_a_damaged_file_among_others_is_said_and_left_out(collection: Path, tmp_path: Path) -> None:
    shape_image(11).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = RUNNER.invoke(app, ["memorization", str(tmp_path), "--collection", str(collection), "--json"])
    assert done.exit_code == 0 and "bad.png" in done.stderr
    assert [item["title"] for item in json.loads(done.stdout)["items"]] == ["good.png"]
    assert "bad.png" in run(tmp_path / "bad.png", "--collection", collection, code=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to check"),
        (("none.png",), "none.png"),
        (("EMPTY",), "no image in"),
        (("--prompts", "none.txt"), "none.txt"),
        (("--prompts", "BLANK"), "no prompt in"),
        (("--prompts", "PROMPTS", "--seeds", "0"), "seeds is 0"),
        (("--prompts", "PROMPTS", "--steps", "0"), "steps"),
        (("IMAGE", "--html", "EMPTY"), "is a folder"),
    ],
)
def test_bad_input_is_one_line(
    collection: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    names = {
        "EMPTY": tmp_path / "empty",
        "BLANK": tmp_path / "blank.txt",
        "PROMPTS": tmp_path / "prompts.txt",
        "IMAGE": tmp_path / "image.png",
    }
    names["EMPTY"].mkdir()
    names["BLANK"].write_text("\n \n")
    names["PROMPTS"].write_text("red cat")
    shape_image(1).save(names["IMAGE"])
    error = run(*(names.get(a, a) for a in arguments), "--collection", collection, code=2)
    assert words in error and len(error.strip().splitlines()) == 1


def test_without_a_copy_encoder_or_a_generator_it_says_so(collection: Path, tmp_path: Path) -> None:
    plain = fake_collection(tmp_path / "plain", 24).path
    shape_image(1).save(tmp_path / "image.png")
    assert "no encoder that tells copies" in run(tmp_path / "image.png", "--collection", plain, code=2)
    (tmp_path / "prompts.txt").write_text("red cat")
    bare = tmp_path / "bare"
    shutil.copytree(collection, bare, ignore=shutil.ignore_patterns("generator"))
    assert "no generator" in run("--prompts", tmp_path / "prompts.txt", "--collection", bare, code=2)
