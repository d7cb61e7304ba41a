"""The command `check-model`: files, a LoRA, resuming, and what goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attribution_core.cli.main import app
from tests.support.adapters import save_lora
from tests.support.fakes import copying_collection, fake_collection
from tests.support.tiny_pipeline import make_pocket_like

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copying_collection(tmp_path_factory.mktemp("copies") / "shapes", 24).path
    make_pocket_like(folder / "generator")
    return folder


def run(*arguments: object, code: int = 0) -> str:
    done = RUNNER.invoke(app, ["check-model", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def test_a_lora_is_drawn_from_and_reported(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red cat\n\nred circle\n", encoding="utf-8")
    lora, out = save_lora(tmp_path / "mine.safetensors"), tmp_path / "out"
    asked = (lora, "--collection", collection, "--prompts", tmp_path / "prompts.txt", "--captions", 2)
    asked = (*asked, "--seeds", 2, "--steps", 2, "--out", out)
    told = json.loads(run(*asked, "--json"))
    assert told["model"].endswith("+ mine") and told["scan"]["images"] >= 6
    assert {rate["name"] for rate in told["rates"]} == {"training captions", "other prompts"}
    assert told["shares_by_creator"], "the LoRA changes the collection's own generator"
    assert json.loads((out / "report.json").read_text())["model_sha256"] == told["model_sha256"]
    assert "<script" not in (out / "report.html").read_text()
    times = {p.name: p.stat().st_mtime_ns for p in (out / "images").iterdir()}
    assert "How do we know?" in run(*asked)
    assert times == {p.name: p.stat().st_mtime_ns for p in (out / "images").iterdir()}
    assert "another model" in run(collection / "generator", *asked[1:], code=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pocket",), "nothing to draw"),
        (("pocket", "--captions", "-1"), "captions is -1"),
        (("OWN", "--captions", "1", "--seeds", "0"), "seeds is 0"),
        (("OWN", "--prompts", "none.txt"), "none.txt"),
        (("OWN", "--prompts", "BLANK"), "no prompt in"),
        (("OWN", "--prompts", "WIDE"), "UTF-16"),
        (("OWN", "--captions", "1", "--base", "pocket"), "--base is for"),
        (("LORA", "--captions", "1", "--base", "nothing"), "unknown generator 'nothing'"),
        (("OTHER", "--captions", "1"), "made for another generator"),
        (("PICKLE", "--captions", "1"), "may hold code"),
        (("NOISE", "--captions", "1"), "cannot be read as safetensors"),
        (("no-such-generator", "--captions", "1"), "unknown generator"),
        (("OWN", "--captions", "1", "--steps", "0"), "steps must be"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    collection: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    names = {
        "OWN": collection / "generator",
        "BLANK": tmp_path / "blank.txt",
        "WIDE": tmp_path / "wide.txt",
        "LORA": save_lora(tmp_path / "mine.safetensors"),
        "OTHER": save_lora(tmp_path / "other.safetensors", width=48),
        "PICKLE": tmp_path / "lora.bin",
        "NOISE": tmp_path / "noise.safetensors",
    }
    names["BLANK"].write_text("\n \n")
    names["WIDE"].write_text("a cat", encoding="utf-16")
    names["PICKLE"].write_bytes(b"\x80\x04N.")
    names["NOISE"].write_bytes(b"no tensors")
    out = tmp_path / "out"
    error = run(*(names.get(a, a) for a in arguments), "--collection", collection, "--out", out, code=2)
    assert words in error and len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_without_a_copy_encoder_or_a_generator_it_says_so(collection: Path, tmp_path: Path) -> None:
    plain, out = fake_collection(tmp_path / "plain", 24).path, tmp_path / "out"
    own = collection / "generator"
    assert "no encoder that tells copies" in run(
        own, "--captions", 1, "--collection", plain, "--out", out, code=2
    )
    bare = tmp_path / "bare"
    shutil.copytree(collection, bare, ignore=shutil.ignore_patterns("generator"))
    lora = save_lora(tmp_path / "mine.safetensors")
    assert "--base" in run(lora, "--captions", 1, "--collection", bare, "--out", out, code=2)
    assert not out.exists()
