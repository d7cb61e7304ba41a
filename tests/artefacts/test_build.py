"""What ships is up to date: every stage was made from what ships beside it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attribution_core.generation.generator import Generator
from pocket.build import DOIT_CONFIG, STAGES
from pocket.prompts import COLOURED, SHEET
from pocket.results.generator import JUDGED
from pocket.results.page import PAGE, rewritten

ROOT = Path(__file__).resolve().parents[2]


def doit(*arguments: str, folder: Path = ROOT, file: str = "pocket/build.py") -> str:
    command = [sys.executable, "-m", "doit", "-f", file, "-d", str(folder), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_stage_that_ships_is_up_to_date() -> None:
    states = dict(line.split()[1::-1] for line in doit("list", "--status").splitlines())
    assert states == {stage.name: "U" for stage in STAGES}


def test_the_stages_make_what_others_are_made_from() -> None:
    made = {file: stage.name for stage in STAGES for file in stage.makes}
    used = {file for stage in STAGES for file in stage.made_from}
    # Trials and what a person saw on the sheets are made by hand.
    assert used - set(made) == {"pocket/trials.json", "pocket/judged.json"}
    assert all((ROOT / file).exists() for file in made)


RECIPE = """
from pathlib import Path
import sys
from pocket.build import DOIT_CONFIG as SHIPPED, Stage
DOIT_CONFIG = SHIPPED | {"dep_file": "built.json"}
STAGES = [Stage("first", "", ("step a b",), ["a"], ["b"]), Stage("second", "", ("step b c",), ["b"], ["c"]),
          Stage("other", "", ("step x y",), ["x"], ["y"])]
def task_all():
    for stage in STAGES:
        yield stage.task()
"""
STEP = """
import sys
from pathlib import Path
Path(sys.argv[2]).write_text(Path(sys.argv[1]).read_text() + "!")
with open("ran", "a") as log:
    log.write(sys.argv[2])
"""


def test_a_change_is_followed_to_all_that_depends_on_it_and_no_further(tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(RECIPE)
    (tmp_path / "step.py").write_text(STEP)
    for name in "ax":
        (tmp_path / name).write_text(name)
    doit(folder=tmp_path, file="dodo.py")
    assert (tmp_path / "c").read_text() == "a!!"
    assert sorted((tmp_path / "ran").read_text()) == ["b", "c", "y"]
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))  # as in a fresh clone: other times, the same bytes
    doit(folder=tmp_path, file="dodo.py")
    assert sorted((tmp_path / "ran").read_text()) == ["b", "c", "y"]
    (tmp_path / "a").write_text("A")
    doit(folder=tmp_path, file="dodo.py")
    assert (tmp_path / "c").read_text() == "A!!"
    assert sorted((tmp_path / "ran").read_text()) == ["b", "b", "c", "c", "y"]


def test_the_results_page_says_what_the_cards_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = PAGE.read_text(encoding="utf-8")
    assert rewritten(text) == text


def test_what_was_seen_on_the_sheets_is_of_the_generator_that_ships() -> None:
    judged = json.loads((ROOT / JUDGED).read_text())
    assert judged["generator_sha256"] == Generator.open(ROOT / "checkpoints/pocket/generator").sha256
    assert tuple(judged["sheet"]) == SHEET and tuple(judged["coloured"]) == COLOURED


def test_the_record_of_the_build_holds_each_stage_and_what_it_was_made_from() -> None:
    record = json.loads((ROOT / DOIT_CONFIG["dep_file"]).read_text())
    assert set(record) == {stage.name for stage in STAGES}
    for stage in STAGES:
        assert set(record[stage.name]["deps:"]) == set(stage.made_from), stage.name
        for file in stage.made_from:
            md5 = record[stage.name][file]
            assert md5 == hashlib.md5((ROOT / file).read_bytes()).hexdigest(), (stage.name, file)
