"""Every command that writes, where nothing can be written: one line, nothing half-written, and with room it goes on."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from attribution_core.cli.main import app
from attribution_core.collection.collection import Collection
from attribution_core.common.cards import CARD_NAME, verify_files
from attribution_core.common.files import write_array_atomic
from attribution_core.errors import OutputError
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex
from tests.support.disks import Disk, disk, files_end_at
from tests.support.fake_release import fake_release
from tests.support.fakes import ENCODER, copying_collection, fake_benchmark, shape_image
from tests.support.pairs import D, made_pairs
from tests.support.tiny_pipeline import make_pocket_like

ROOT = Path(__file__).parents[2]
RUNNER = CliRunner()
REASONS = (
    "No space left on device",
    "File too large",
    "File name too long",
    "Not a directory",
    "File exists",
    "Read-only file system",
)


@dataclass(frozen=True)
class Writer:
    """A command that writes below a folder.

    words: of the command line, by the folder with what it reads and the folder that it writes to. begins_with: a
    collection in the folder that it writes to, which it changes.
    """

    words: Callable[[Path, Path], list[Any]]
    begins_with: str = ""


def _generator(at: Path) -> list[Any]:
    return ["--generator", at / "shapes/generator", "--steps", 1]


_INDEXED = ["--encoder", ENCODER, "--near-duplicates", "off"]
WRITERS = {
    "index": Writer(
        lambda at, to: ["index", at / "images", "--out", to / "mine", *_INDEXED],
    ),
    "index --add": Writer(lambda at, to: ["index", at / "more", "--out", to / "mine", "--add"], "mine"),
    "remove": Writer(lambda at, to: ["remove", to / "mine", "3.png"], "mine"),
    "report": Writer(
        lambda at, to: [
            *["report", at / "good.png", "--collection", at / "shapes"],
            *["--out", to / "a.html", "--json", to / "a.json"],
        ]
    ),
    "attribute --out": Writer(
        lambda at, to: [
            *["attribute", at / "images", "--collection", at / "shapes", "--made-by-this-model"],
            *["--out", to / "many"],
        ]
    ),
    "export": Writer(
        lambda at, to: ["export", at / "shapes", "--as", "training-summary", "--out", to / "a.html"],
    ),
    "memorization": Writer(
        lambda at, to: [
            "memorization",
            at / "good.png",
            *["--collection", at / "shapes", "--html", to / "a.html"],
        ]
    ),
    "generate": Writer(lambda at, to: ["generate", "red cat", *_generator(at), "--out", to / "a.png"]),
    "customize": Writer(
        lambda at, to: [
            *["customize", at / "good.png", "--category", "cat", *_generator(at), "--batch-size", 1],
            *["--out", to / "token"],
        ]
    ),
    "calibrate": Writer(
        lambda at, to: [
            *["calibrate", at / "tests/test_seen_concept.json", "--images", at / "tests"],
            *["--collection", at / "shapes", "--out", to / "calibrator"],
        ]
    ),
    "evaluate": Writer(
        lambda at, to: [
            *["evaluate", at / "tests/test_seen_concept.json", "--images", at / "tests"],
            *["--collection", at / "shapes", "--out", to / "tables"],
        ]
    ),
    "train-mappers": Writer(
        lambda at, to: [
            *["train-mappers", at / "tests/test_seen_concept.json", "--images", at / "tests"],
            *["--validation", at / "tests/test_seen_concept.json", "--encoder", ENCODER],
            *["--epochs", 1, "--views", 1, "--no-rigid", "--augmentation", "none", "--out", to / "mappers"],
        ]
    ),
    "check-model": Writer(
        lambda at, to: [
            *["check-model", at / "shapes/generator", "--collection", at / "shapes", "--captions", 1],
            *["--seeds", 1, "--steps", 1, "--out", to / "checked"],
        ]
    ),
    "map": Writer(lambda at, to: ["map", to / "shapes"], "shapes"),
    "from-release": Writer(
        lambda at, to: ["from-release", "clip", "--release", at / "release", "--out", to / "released"]
    ),
}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("read")
    copying_collection(folder / "shapes")
    make_pocket_like(folder / "shapes/generator")
    fake_release(folder / "release")
    for name, numbers in (("images", range(6)), ("more", range(6, 9))):
        (folder / name).mkdir()
        for number in numbers:
            shape_image(number).save(folder / name / f"{number}.png")
    shape_image(3).save(folder / "good.png")
    (folder / "tests").mkdir()
    fake_benchmark(folder / "tests")
    assert _run(["index", folder / "images", "--out", folder / "mine", *_INDEXED]).exit_code == 0
    # At its first run, UMAP keeps compiled code beside its own package, where there is room.
    shutil.copytree(folder / "shapes", folder / "mapped")
    assert _run(["map", folder / "mapped"]).exit_code == 0
    return folder


def _run(words: list[Any]) -> Result:
    return RUNNER.invoke(app, [str(word) for word in words])


def _begin(writer: Writer, at: Path, to: Path) -> None:
    if writer.begins_with:
        shutil.copytree(at / writer.begins_with, to / writer.begins_with)


def _wrong(done: Result, to: Path) -> str:
    """What is wrong with how a command ended that could not write; "" where nothing is."""
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"ended with {type(done.exception).__name__}: {str(done.exception)[:300]}"
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if done.exit_code != 2 or len(errors) != 1 or not done.stderr.endswith(errors[0] + "\n"):
        return f"ended with {done.exit_code}: {done.stderr[-300:]!r}"
    if str(to) not in errors[0] or not any(reason in errors[0] for reason in REASONS):
        return f"said {errors[0]!r}"
    return ""


def _left(to: Path, writer: Writer) -> str:
    """What is wrong with what lies there; "" where nothing is."""
    if parts := [str(path) for path in to.rglob(".*.part*")]:
        return f"left {parts}"
    for card in to.rglob(CARD_NAME):
        verify_files(card.parent)
    if writer.begins_with:
        assert len(Collection.open(to / writer.begins_with).corpus) in (5, 6, 9, 60)
    return ""


def _stopped(name: str, at: Path, to: Path, full: AbstractContextManager[object]) -> tuple[bool, str]:
    """Run a command where it may fail. Returns whether it did, and what was wrong with it."""
    writer = WRITERS[name]
    with full:
        done = _run(writer.words(at, to))
    if not done.exit_code:
        return False, _left(to, writer)
    return True, _wrong(done, to) or _left(to, writer)


def _goes_on(name: str, at: Path, to: Path) -> str:
    """Run a command with room. Returns what was wrong with it."""
    writer = WRITERS[name]
    done = _run(writer.words(at, to))
    if done.exit_code:
        return f"with room again: {done.exit_code}: {done.stderr[-300:]!r} {done.exception!r}"
    return _left(to, writer)


@contextmanager
def _mounted(path: Path) -> Iterator[Disk]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(disk(path))
        except OSError as error:
            pytest.skip(f"no file system can be mounted here ({error})")
        yield made


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_files_that_cannot_grow(name: str, at: Path, tmp_path: Path) -> None:
    found, failed = {}, 0
    for size in (0, 100, 1500, 4096):
        to = tmp_path / str(size)
        to.mkdir()
        _begin(WRITERS[name], at, to)
        fails, wrong = _stopped(name, at, to, files_end_at(size))
        failed += fails
        if wrong := wrong or (_goes_on(name, at, to) if fails else ""):
            found[size] = wrong
    assert failed >= 2 and not found


@pytest.mark.parametrize("full", ["pages", "files"])
@pytest.mark.parametrize(
    "name", sorted(WRITERS.keys() - {"train-mappers", "check-model"})
)  # which take seconds each time
def test_a_full_disk(name: str, full: str, at: Path, tmp_path: Path) -> None:
    """With a little more room each time, until there is enough: so that it is full at one file after another."""
    found, room, fails = {}, 0, True
    while fails:
        with _mounted(tmp_path / str(room)) as made:
            _begin(WRITERS[name], at, made.path)
            (made.leave_pages if full == "pages" else made.leave_files)(room)
            fails, wrong = _stopped(name, at, made.path, nullcontext())
            made.leave_plenty()
            if wrong := wrong or (_goes_on(name, at, made.path) if fails else ""):
                found[room] = wrong
        room += 1 + room // 8 * 4
    assert not found


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_disk_that_is_read_only(name: str, at: Path, tmp_path: Path) -> None:
    with _mounted(tmp_path / "disk") as made:
        _begin(WRITERS[name], at, made.path)
        made.lock()
        assert _stopped(name, at, made.path, nullcontext()) == (True, "")
        made.leave_plenty()
        assert _goes_on(name, at, made.path) == ""


@pytest.mark.parametrize("name", [name for name, writer in sorted(WRITERS.items()) if not writer.begins_with])
def test_a_file_where_a_folder_should_be(name: str, at: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert _stopped(name, at, tmp_path / "file", nullcontext()) == (True, "")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", [name for name, writer in sorted(WRITERS.items()) if not writer.begins_with])
def test_a_name_that_is_too_long(name: str, at: Path, tmp_path: Path) -> None:
    to = tmp_path / ("a" * 300)
    assert _wrong(_run(WRITERS[name].words(at, to)), to) == ""
    assert list(tmp_path.iterdir()) == []


def _index(path: Path) -> None:
    TrainingIndex.build(np.eye(16, dtype=np.float32), "Flat", ENCODER).save(path.parent)


def _array(path: Path) -> None:
    write_array_atomic(path, np.zeros(250, np.float32))


def _checkpoint(path: Path) -> None:
    start = MapperPair.identity(D, ENCODER)
    start.fit(made_pairs(models=4), "linear", checkpoint=path, epochs=10)


@pytest.mark.parametrize(
    ("name", "write"), [("index.faiss", _index), ("rows.npy", _array), ("checkpoint.pt", _checkpoint)]
)
def test_the_end_of_a_file_is_not_lost_unnoticed(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    """Files of some 1,000 bytes, which libraries hold back until they close them."""
    path = tmp_path / name
    with (
        files_end_at(700),
        pytest.raises(OutputError, match=rf"{name}' cannot be written \(File too large\)"),
    ):
        write(path)
    assert list(tmp_path.iterdir()) == []


def test_a_device_or_a_pipe_is_never_replaced_by_a_file(at: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = _run(["generate", "red cat", *_generator(at), "--out", pipe])
    assert done.exit_code == 2 and f"error: '{pipe}' cannot be written" in done.stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize(
    "words",
    [
        ["attribute", "{at}/good.png", "--collection", "{at}/shapes"],
        ["artwork", "{at}/good.png", "--image", "{at}/good.png", "--collection", "{at}/shapes"],
        ["encoders", "--json"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full here")
def test_what_is_printed_to_a_full_disk_is_one_line(words: list[str], at: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "attribution_core", *(word.format(at=at) for word in words)],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")
