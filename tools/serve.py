"""Starts the app as a user does, on a free port, for the duration of a context."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 300


@dataclass(frozen=True)
class Served:
    """A running app. seconds: from the command to the first answer. process: its process id."""

    url: str
    seconds: float
    process: int

    def computed(self) -> float | None:
        """Return its CPU seconds, which do not depend on the machine's load; None if the system has no /proc."""
        stat = Path(f"/proc/{self.process}/stat")
        if not stat.exists():
            return None
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serve(
    collection: Path,
    root: Path = ROOT,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Run `python app.py` within the context, then stop it.

    root: working folder. prefix: a command that runs it. environment: additional variables. Raises `RuntimeError` with
    the end of the app's log if it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = {
        **os.environ,
        "ATTRIBUTION_PORT": str(port),
        "ATTRIBUTION_HOST": "127.0.0.1",
        "ATTRIBUTION_COLLECTION": str(collection),
        **(environment or {}),
    }
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            [*prefix, sys.executable, "app.py"], cwd=root, env=variables, stdout=log, stderr=log
        )
        try:
            while not _answers(url):
                if process.poll() is not None or time.perf_counter() - start > PATIENCE_S:
                    log.seek(0)
                    raise RuntimeError(
                        f"the app did not start:\n{log.read().decode(errors='replace')[-2000:]}"
                    )
                time.sleep(0.05)
            yield Served(url, time.perf_counter() - start, process.pid)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return bool(page.read(1))
    except (urllib.error.URLError, OSError):
        return False
