"""The app's own temporary folder: nobody else reads it, and nothing is left of it at the end, however that comes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.callers import Caller
from tests.support.fakes import fake_collection, shape_image
from tests.support.images import encoded
from tools.serve import ROOT, serve


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if k != "GRADIO_TEMP_DIR"} | environment
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120
    )


TELL = (
    "from ui.services.folder import private_folder; f = private_folder(); (f / 'a').write_text('x'); print(f)"
)


def test_it_is_the_apps_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    told = run(
        TELL + "; import os; print(oct(os.stat(f).st_mode)[-3:], oct(os.stat(f.parent).st_mode)[-3:])",
        TMPDIR=str(tmp_path),
    )
    folder, modes, *_ = told.stdout.splitlines()
    assert modes == "700 700" and Path(folder).parent.parent == tmp_path
    assert not Path(folder).exists() and list(Path(folder).parent.iterdir()) == []


def test_what_a_killed_app_left_is_deleted_at_the_next_start_and_a_running_one_is_left_alone(
    tmp_path: Path,
) -> None:
    killed = run(
        TELL + "; import os, signal, sys; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)",
        TMPDIR=str(tmp_path),
    )
    left = Path(killed.stdout.strip())
    assert (left / "a").exists()
    code = TELL + "; import sys, time; sys.stdout.flush(); time.sleep(60)"
    environment = {k: v for k, v in os.environ.items() if k != "GRADIO_TEMP_DIR"} | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        other = Path(running.stdout.readline().strip())
        assert not left.exists()
        run(TELL, TMPDIR=str(tmp_path))
        assert (other / "a").exists()
        running.kill()


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_folder_that_cannot_be_had_is_one_line_and_no_taken_port(tmp_path: Path, what: str) -> None:
    taken = tmp_path / f"attribution-explorer-{os.getuid()}"
    if what == "file":
        taken.write_text("")
    else:
        taken.symlink_to(tmp_path)
    fake_collection(tmp_path / "shapes", n=10)
    environment = {k: v for k, v in os.environ.items() if k != "GRADIO_TEMP_DIR"} | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "app.py", "--collection", str(tmp_path / "shapes"), "--port", "0"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and done.stderr.startswith("error: the temporary folder")
    assert "GRADIO_TEMP_DIR" in done.stderr and "port" not in done.stderr and done.stderr.count("\n") == 1


def test_sigterm_leaves_no_upload(tmp_path: Path) -> None:
    fake_collection(tmp_path / "shapes", n=30)
    base = tmp_path / "temporary"
    with serve(tmp_path / "shapes", environment={"GRADIO_TEMP_DIR": str(base)}) as served:
        caller = Caller.of(served.url)
        file = caller.upload(encoded(shape_image(3), "PNG"), "mine.png")
        assert caller.call("attribute_image", [file, 3, ""]).error == ""
        assert [path.name for path in base.rglob("mine.png")] == ["mine.png"]
        (folder,) = (path for path in base.iterdir() if path.is_dir())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        os.kill(served.process, signal.SIGTERM)
        ends = time.monotonic() + 30
        while any(base.iterdir()) and time.monotonic() < ends:
            time.sleep(0.1)
        assert list(base.rglob("*")) == []
