"""Which tracked files a deployed app needs; the Dockerfile copies the same, and a test runs the app from them."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent

APP = (
    "LICENSE",
    "NOTICE",
    "app.py",
    "attribution_core/",
    "checkpoints/",
    "constraints.txt",
    "requirements.txt",
    "ui/",
)
"""Files, and folders with all that is in them, that the app runs from."""
SPACE = (*APP, "*.md", "CITATION.cff", "docs/*.md", "assets/*.png", "assets/*.svg")
"""What a Space shows beside it: the README, whose front matter configures it, what that links to, and pictures."""


def tracked(root: Path = ROOT) -> list[str]:
    """Paths of all files that git keeps. Raises `subprocess.CalledProcessError` where that is no checkout."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, timeout=60)
    return sorted(name for name in done.stdout.decode().split("\0") if name)


def uncommitted(names: list[str], root: Path = ROOT) -> list[str]:
    """Those of the files that differ from the last commit."""
    done = subprocess.run(
        ["git", "diff", "--name-only", "-z", "HEAD"], cwd=root, capture_output=True, check=True, timeout=60
    )
    return sorted(set(done.stdout.decode().split("\0")) & set(names))


def revision(root: Path = ROOT) -> str:
    """The last commit, in short."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode().strip()


def chosen(names: list[str], wanted: tuple[str, ...]) -> list[str]:
    """Those of the names that a list such as `APP` means."""
    return [
        name
        for name in names
        if any(
            name.startswith(one)
            if one.endswith("/")
            else PurePosixPath(name).match(one) and name.count("/") == one.count("/")
            for one in wanted
        )
    ]
