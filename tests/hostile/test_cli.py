"""Every command that reads a file, given every kind of bad one: it answers, or says one line and ends with 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attribution_core.cli.main import app
from tests.support.bad_files import bad_files, good_file
from tests.support.bad_texts import bad_texts
from tests.support.fakes import ENCODER, copying_collection
from tests.support.tiny_pipeline import make_pocket_like

RUNNER = CliRunner()
Command = Callable[[Path, Path], list[Any]]
"""(the bad file, a folder with "shapes", a collection, "good.png" and an empty "out") -> words of the command line."""

IMAGES: dict[str, Command] = {
    "attribute": lambda bad, at: ["attribute", bad, "--collection", at / "shapes"],
    "report": lambda bad, at: ["report", bad, "--out", at / "out.html", "--collection", at / "shapes"],
    "memorization": lambda bad, at: ["memorization", bad, "--collection", at / "shapes", "--json"],
    "artwork": lambda bad, at: ["artwork", bad, "--image", at / "good.png", "--collection", at / "shapes"],
    "artwork's question": lambda bad, at: [
        *["artwork", at / "good.png", "--image", bad],
        *["--collection", at / "shapes"],
    ],
    "customize": lambda bad, at: [
        *["customize", bad, "--category", "cat", "--out", at / "token", "--steps", 1],
        *["--generator", at / "shapes" / "generator"],
    ],
}
TEXTS: dict[str, tuple[str, Command]] = {
    "prompts of memorization": (
        ".txt",
        lambda bad, at: [
            *["memorization", "--prompts", bad, "--seeds", 1, "--steps", 1],
            *["--collection", at / "shapes", "--json"],
        ],
    ),
    "metadata as CSV": (
        ".csv",
        lambda bad, at: ["index", at / "images", "--metadata", bad, "--out", at / "a", "--encoder", ENCODER],
    ),
    "metadata as JSON": (
        ".jsonl",
        lambda bad, at: ["index", at / "images", "--metadata", bad, "--out", at / "a", "--encoder", ENCODER],
    ),
    "metadata as Parquet": (
        ".parquet",
        lambda bad, at: ["index", at / "images", "--metadata", bad, "--out", at / "a", "--encoder", ENCODER],
    ),
    "a Parquet source": (
        ".parquet",
        lambda bad, at: ["index", bad, "--out", at / "b", "--encoder", ENCODER],
    ),
    "an opt-out list": (
        ".csv",
        lambda bad, at: [
            *["index", at / "images", "--out", at / "o", "--encoder", ENCODER, "--opt-out", bad],
        ],
    ),
    "a tar source": (".tar", lambda bad, at: ["index", bad, "--out", at / "c", "--encoder", ENCODER]),
    "a ZIP source": (".zip", lambda bad, at: ["index", bad, "--out", at / "z", "--encoder", ENCODER]),
    "images in a ZIP file": (
        ".zip",
        lambda bad, at: ["attribute", bad, "--out", at / "k", "--collection", at / "shapes"],
    ),
    "a manifest": (
        ".json",
        lambda bad, at: ["calibrate", bad, "--collection", at / "shapes", "--images", at, "--out", at / "d"],
    ),
    "a test case": (
        ".pth",
        lambda bad, at: ["calibrate", bad, "--collection", at / "shapes", "--out", at / "d"],
    ),
    "training features": (
        ".pth",
        lambda bad, at: ["evaluate", bad, "--training", bad, "--encoder", "clip-vit-b16", "--out", at / "e"],
    ),
    "mappers to learn from": (
        ".json",
        lambda bad, at: [
            *["train-mappers", bad, "--validation", bad, "--images", at, "--out", at / "f"],
            *["--encoder", ENCODER, "--epochs", 1],
        ],
    ),
    "released features": (
        ".pth",
        lambda bad, at: [
            *["from-release", "clip-vit-b16", "--features", bad, "--out", at / "g"],
            *["--captions", bad],
        ],
    ),
    "a generator's settings": (
        ".json",
        lambda bad, at: ["generate", "a cat", "--generator", bad, "--out", at / "h.png", "--steps", 1],
    ),
}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    copying_collection(folder / "shapes")
    make_pocket_like(folder / "shapes" / "generator")
    (folder / "good.png").write_bytes(good_file())
    (folder / "images").mkdir()
    (folder / "images" / "1.png").write_bytes(good_file())
    return folder


def wrong(words: list[Any]) -> str:
    """What is wrong with how a command ended; "" where nothing is."""
    done = RUNNER.invoke(app, [str(word) for word in words])
    said = done.stderr.strip()
    if done.exit_code == 0:
        return ""
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"ended with {type(done.exception).__name__}: {str(done.exception)[:200]}"
    if done.exit_code != 2:
        return f"ended with {done.exit_code}: {said[-200:]}"
    last = said.splitlines()[-1] if said else ""
    if not last.startswith("error: ") or len(last) > 1000 or "Traceback" in said or "\x1b" in said:
        return f"said {said[-300:]!r}"
    return ""


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_a_command_that_reads_images_answers_or_says_one_line(name: str, at: Path, tmp_path: Path) -> None:
    found = {}
    for kind, data in bad_files():
        bad = tmp_path / kind
        bad.write_bytes(data)
        if told := wrong(IMAGES[name](bad, at)):
            found[kind] = told
    assert not found


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_command_that_reads_tables_answers_or_says_one_line(
    name: str, at: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ending, command = TEXTS[name]
    found = {}
    for kind, data in bad_texts():
        bad = tmp_path / f"{kind}{ending}"
        bad.write_bytes(data)
        if told := wrong(command(bad, at)):
            found[kind] = told
    assert not found
    assert "the file ran a program" not in capfd.readouterr().out
