"""The commands `index` and `remove`, as they are typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from attribution_core.cli.main import app
from attribution_core.collection.collection import Collection
from tests.support.fakes import shape_image
from tests.support.sources import sample, shard

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def art(tmp_path: Path) -> Path:
    folder = tmp_path / "art"
    folder.mkdir()
    for i in range(5, 9):
        shape_image(i).save(folder / f"{i}.png")
    shape_image(7).resize((80, 80)).save(folder / "7-again.png")
    shape_image(7).save(tmp_path / "query.png")
    return folder


def test_make_add_attribute_remove(art: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (tmp_path / "who.csv").write_text("file,artist\n7.png,Ada\n7-again.png,Copy Shop\nnone.png,Ben\n")
    made = run("index", art, "--out", mine, "--encoder", "rgb-thumbnail", "--metadata", tmp_path / "who.csv")
    assert made.exit_code == 0, made.output
    assert "5 images, 0 skipped" in made.stdout
    assert "credited as one work with them: 1\n" in made.stdout
    assert "rows without an image: 1, images without a row: 3;" in made.stderr
    shard(tmp_path / "s.tar", [*sample(20, artist="Cleo"), ("00021.png", b"junk"), *sample(22)])
    added = run("index", tmp_path / "s.tar", "--out", mine, "--add")
    assert "7 images, 2 of them new, 1 skipped" in added.stdout, added.output
    assert "skipped s/00021: the image cannot be read" in added.stderr
    again = run("index", art, "--out", mine, "--add")
    assert "7 images, 0 of them new, 5 already present" in again.stdout, again.output
    found = run("attribute", tmp_path / "query.png", "--collection", mine, "--temperature", 0.05, "--top", 3)
    assert "(with 1 near-duplicate (also by" in found.stdout
    told = json.loads(
        run("attribute", tmp_path / "query.png", "--collection", mine, "--temperature", 0.05, "--json").stdout
    )
    assert told["works"][0]["ranks"] == [1, 2]
    (tmp_path / "gone.txt").write_text("7-again.png\n\n s/00020 \n")
    removed = run("remove", mine, "7.png", "--file", tmp_path / "gone.txt")
    assert "3 removed, 4 images left" in removed.stdout, removed.output
    assert Collection.open(mine).corpus.column("id") == ["5.png", "6.png", "8.png", "s/00022"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--near-duplicates", "many"], "expected 0 to 0.5, or off"),
        (["--near-duplicates", "0.9"], "expected 0 to 0.5"),
        (["--columns", "who=artist"], "unknown column"),
        (["--metadata", "missing.csv"], "cannot be read"),
        (["--add"], "does not exist"),
        (["--add", "--mappers", "x"], "--mappers cannot be changed with --add"),
        (["--add", "--factory", "Flat"], "--factory cannot be changed with --add"),
        (["--factory", "HNSW"], "unknown index factory"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str, art: Path, tmp_path: Path) -> None:
    result = run("index", art, "--out", tmp_path / "mine", "--encoder", "rgb-thumbnail", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "mine").exists()


def test_an_encoder_that_is_not_the_collections_is_refused(art: Path, tmp_path: Path) -> None:
    run("index", art, "--out", tmp_path / "mine", "--encoder", "rgb-thumbnail")
    result = run("index", art, "--out", tmp_path / "mine", "--add", "--encoder", "pocket-clip")
    assert result.exit_code == 2
    assert "was made with encoder 'rgb-thumbnail', given 'pocket-clip'" in result.stderr
    bad = run("remove", tmp_path / "mine", "nothing.png")
    assert (bad.exit_code, "has no image 'nothing.png'" in bad.stderr) == (2, True)
    assert run("remove", tmp_path / "mine", "--file", tmp_path / "no.txt").exit_code == 2


def test_ctrl_c_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(3000):
        shape_image(i % 50).save(folder / f"{i:04d}.png")
    command = [
        sys.executable,
        "-m",
        "attribution_core",
        "index",
        str(folder),
        "--out",
        str(tmp_path / "mine"),
        "--encoder",
        "rgb-thumbnail",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    done = tmp_path / "mine/building/00000.json"
    started = time.monotonic()
    while not done.exists() and process.poll() is None and time.monotonic() - started < 60:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "images are done; run the same command again to resume" in errors
    assert "Traceback" not in errors
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "3000 images, 0 skipped" in again.stdout, again.stderr


def test_opt_outs_from_index_to_remove(art: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (tmp_path / "a.txt").write_text("6.png\n")
    (tmp_path / "b.csv").write_text("id\n8.png\n")
    lists = ["--opt-out", tmp_path / "a.txt", "--opt-out", tmp_path / "b.csv"]
    made = run("index", art, "--out", mine, "--encoder", "rgb-thumbnail", *lists)
    assert made.exit_code == 0, made.output
    assert "opted out: 6.png: id: 6.png\n" in made.stderr and "opted out: 8.png" in made.stderr
    assert "3 images, 0 skipped" in made.stdout and "left out, as their owners opted out: 2\n" in made.stdout
    again = run("index", art, "--out", mine, "--add", "--opt-out-policy", "mark")
    assert (
        "3 images, 0 of them new" in again.stdout and "left out, as their owners opted out: 2" in again.stdout
    )
    added = run("index", art, "--out", mine, "--add", "--even-if-opted-out")
    assert "5 images, 2 of them new" in added.stdout and "marked as opted out: 2" in added.stdout
    found = run("attribute", art / "6.png", "--collection", mine, "--temperature", 0.05).stdout
    assert "; opted out (id: 6.png)" in found
    gone = run("remove", mine, *lists[:2])
    assert (gone.exit_code, "1 removed, 4 images left" in gone.stdout) == (0, True), gone.output
    assert "opted out: 6.png: id: 6.png" in gone.stderr and "has still learned from it" in gone.stderr
    assert "come back" not in gone.stderr
    nothing = run("remove", mine, *lists[:2])
    assert "0 removed, 4 images left" in nothing.stdout and "learned" not in nothing.stderr
    back = run("index", art, "--out", mine, "--add")
    assert "4 images, 0 of them new" in back.stdout and "opted out: 6.png" not in back.stderr
    assert "left out before, and still so: 1, see " in back.stderr
    shape_image(40).save(art / "new.png")
    (tmp_path / "a.txt").write_text("new.png\n5.png\n" + "".join(f"none-{i}\n" for i in range(7)))
    more = run("index", art, "--out", mine, "--add", *lists[:2])
    assert "opted out: new.png: id: new.png\n" in more.stderr and "opted out: 6.png" not in more.stderr
    again = f"opt-out list given before, and applied again: {tmp_path / 'b.csv'}\n"
    assert again in back.stderr and again in more.stderr
    assert f"1 listed image is already in; take it out with `remove {mine} --opt-out FILE`" in more.stderr
    assert (
        "7 of 10 entries of the opt-out lists name no image, or only some that were left out before: "
        in more.stderr
    )
    assert f"'none-4' and 2 more, all in {mine / 'unmatched_opt_outs.json'}\n" in more.stderr
    by_id = run("remove", mine, "7-again.png")
    assert "come back if their folder is added again" in by_id.stderr and "has still learned" in by_id.stderr
    out = run("remove", mine, *lists[:2])
    assert (
        "7 of 9 entries of the opt-out lists name no image of the collection: 'none-0', 'none-1',"
        in out.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--opt-out", "nowhere.txt"], "the opt-out list in 'nowhere.txt' cannot be read"),
        (["--opt-out-policy", "drop"], "unknown opt-out policy 'drop'"),
        (["--even-if-opted-out"], "policy 'mark'"),
    ],
)
def test_mistakes_with_opt_outs_are_one_line(
    arguments: list[str], words: str, art: Path, tmp_path: Path
) -> None:
    result = run("index", art, "--out", tmp_path / "mine", "--encoder", "rgb-thumbnail", *arguments)
    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (2, 1)
    assert words in result.stderr and not (tmp_path / "mine").exists()
