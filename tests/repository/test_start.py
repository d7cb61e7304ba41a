"""Starting the app as a user does: with a page that answers, or with one line that says what is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from attribution_core.common.files import write_json_atomic
from tests.support.fakes import fake_collection
from tools.serve import ROOT, serve


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--collection", "nowhere"], {}, "nowhere"),
        ([], {"ATTRIBUTION_PORT": "abc"}, "port"),
        ([], {"ATTRIBUTION_COLLECTION": "nowhere"}, "nowhere"),
        (["--port", "70000"], {}, "65535"),
        (["--collection", "checkpoints/pocket", "--collection", "nowhere"], {}, "nowhere"),
    ],
)
def test_a_mistake_ends_with_its_reason_and_code_two(
    arguments: list[str], environment: dict[str, str], words: str
) -> None:
    done = start(*arguments, **environment)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.parametrize("damaged", ["counterfactual.json", "without/noto.webp"])
def test_damaged_evidence_is_one_line(tmp_path: Path, damaged: str) -> None:
    fake_collection(tmp_path / "shapes", n=10)
    evidence = tmp_path / "shapes/evidence"
    (evidence / "without").mkdir(parents=True)
    asked = {"queries": 1, "halves": 1, "ceiling": None, "methods": []}
    found = {
        "training": 1,
        "models": 1,
        "date": "",
        "prompts": {"noto": ["owl"]},
        "made": asked,
        "held_out": asked,
    }
    write_json_atomic(evidence / "counterfactual.json", found)
    (evidence / damaged).write_text("damaged")
    done = start("--collection", str(tmp_path / "shapes"), "--port", "0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and f"{damaged}' cannot be read" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    fake_collection(tmp_path / "shapes", n=10)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = start("--collection", str(tmp_path / "shapes"), "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot listen on port {port} of 127.0.0.1: it is taken")
    assert done.stderr.count("\n") == 1


def test_the_app_answers_and_shows_its_collection(tmp_path: Path) -> None:
    fake_collection(tmp_path / "shapes", n=30)
    with serve(tmp_path / "shapes") as served, urllib.request.urlopen(served.url, timeout=30) as page:
        text = page.read().decode()
    assert "Attribution Explorer" in text
    assert "Shapes: 30 training images" in text
