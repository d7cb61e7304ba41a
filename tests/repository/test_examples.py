"""The examples run as they are, and find what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
assert EXAMPLES, "no example is found, so none would be tested"


def run(path: Path, tmp_path: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("name", ["attribute_a_folder", "bring_your_own_encoder"])
def test_the_known_image_is_found(name: str, tmp_path: Path) -> None:
    told = run(ROOT / f"examples/{name}.py", tmp_path)
    assert told.splitlines()[-1] == "found: True"


def test_calibration_gains_on_models_that_it_was_not_fitted_on(tmp_path: Path) -> None:
    told = run(ROOT / "examples/calibrate_on_tuned_models.py", tmp_path)
    low = re.search(r"^gain \S+ \((-?[\d.]+) to ", told, re.MULTILINE)
    assert low is not None and float(low[1]) > 0
    assert "card.json" in told.splitlines()[-1]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_opens_as_a_notebook_and_stands_in_the_docs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    cells = re.split(r"^# %%", text, flags=re.MULTILINE)
    assert cells[0] == "" and cells[1].startswith(" [markdown]\n# # ")
    for cell in cells[1:]:
        if cell.startswith(" [markdown]"):
            assert all(line.startswith("#") for line in cell.splitlines()[1:] if line), cell
        else:
            compile(cell.split("\n", 1)[1], path.name, "exec")
    assert f"examples/{path.name}" in (ROOT / "docs/python-api.md").read_text(encoding="utf-8")
    assert all(line == "" or len(line) <= 120 for line in text.splitlines())
