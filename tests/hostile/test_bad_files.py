"""Some 70 kinds of bad files at every door: each is read, or refused in one sentence, in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attribution_core.cli.main import app
from tests.support.bad_files import bad_files, good_file
from tests.support.callers import Caller
from tests.support.fakes import ENCODER

ROOT = Path(__file__).parents[2]
FILES = dict(bad_files())
READ = """
import json, sys, time
from pathlib import Path
from attribution_core.common.images import read_image
from attribution_core.errors import InvalidImageError
for path in sorted(Path(sys.argv[1]).iterdir()):
    began = time.monotonic()
    try:
        image, said = read_image(path), ""
        size = [image.mode, *image.size]
    except InvalidImageError as error:
        said, size = str(error), []
    print(json.dumps([path.name, said, size, time.monotonic() - began]))
# The peak of this program alone: what getrusage gives begins with the memory of the program that started it.
peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(json.dumps(["memory", "", [peak / 1024], 0]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bad")
    for name, data in FILES.items():
        (made / name).write_bytes(data)
    return made


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Any]:
    """What the library's reader makes of each file, in a process of its own; name -> (sentence, image, seconds)."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        name: (said, size, seconds) for name, said, size, seconds in map(json.loads, done.stdout.splitlines())
    }


def test_there_are_many_kinds() -> None:
    assert len(FILES) >= 60


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_reader_gives_an_image_or_one_sentence(outcomes: dict[str, Any], name: str) -> None:
    said, size, seconds = outcomes[name]
    assert seconds < 8
    if size:
        assert size[0] == "RGB" and size[1] * size[2] <= 50_000_000
    else:
        assert name in said and "\n" not in said and len(said) < 400
        assert not any(word in said for word in ("Traceback", "Error(", str(ROOT)))


@pytest.mark.parametrize(
    "name",
    [
        "empty.png",
        "text.png",
        "script.eps.png",
        "icon.png",
        "bomb-200000.png",
        "scans-3000.jpg",
        "cut-in-half.png",
    ],
)
def test_what_is_no_image_is_refused(outcomes: dict[str, Any], name: str) -> None:
    assert outcomes[name][0]


@pytest.mark.parametrize(
    "name", ["before-rubbish.png", "orientation-99.jpg", "profile-of-rubbish.png", "one-pixel.png"]
)
def test_what_viewers_show_is_read(outcomes: dict[str, Any], name: str) -> None:
    assert outcomes[name][1]


def test_all_of_them_take_less_than_a_gigabyte(outcomes: dict[str, Any]) -> None:
    assert outcomes["memory"][1][0] < 1000


def test_index_reads_or_names_each_of_them(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for path in folder.iterdir():
        (tmp_path / "images" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "images" / "good.png").write_bytes(good_file())
    out = tmp_path / "mine"
    done = CliRunner().invoke(
        app, ["index", str(tmp_path / "images"), "--out", str(out), "--encoder", ENCODER]
    )
    assert done.exit_code == 0, done.output[-1000:]
    skipped = {entry["file"]: entry for entry in json.loads((out / "skipped.json").read_text())}
    import pyarrow.parquet as pq

    kept = {
        i
        for part in out.rglob("train-*.parquet")
        for i in pq.read_table(part, columns=["id"])["id"].to_pylist()
    }
    assert kept | set(skipped) == {*FILES, "good.png"}
    assert not kept & set(skipped)
    assert "good.png" in kept and "text.png" in skipped


def test_the_server_takes_or_refuses_each_of_them_and_goes_on(url: str) -> None:
    caller = Caller.of(url)
    for name, data in FILES.items():
        answer = caller.web.post("/gradio_api/upload", files={"files": (name, data)})
        assert answer.status_code in (200, 400, 413), name
        if answer.status_code == 200:
            told = caller.call(
                "attribute_image", [{"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}, 5, ""]
            )
            assert told.status == 200 and "Traceback" not in told.error, name
    assert caller.web.get("/config").status_code == 200
