"""Lists the tracked files that a deployed app needs; the Dockerfile copies the same files."""

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
"""Files and whole folders that the app runs from."""
SPACE = (*APP, "*.md", "CITATION.cff", "docs/*.md", "assets/*.png", "assets/*.svg")
"""Files for a Space: those of the app, the README, whose front matter configures the Space, linked pages, pictures."""


def tracked(root: Path = ROOT) -> list[str]:
    """Return the paths of all tracked files. Raises `subprocess.CalledProcessError` outside a git checkout."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, timeout=60)
    return sorted(name for name in done.stdout.decode().split("\0") if name)


def uncommitted(names: list[str], root: Path = ROOT) -> list[str]:
    """Return the files that differ from the last commit."""
    done = subprocess.run(
        ["git", "diff", "--name-only", "-z", "HEAD"], cwd=root, capture_output=True, check=True, timeout=60
    )
    return sorted(set(done.stdout.decode().split("\0")) & set(names))


def revision(root: Path = ROOT) -> str:
    """Return the abbreviated hash of the last commit."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode().strip()


def matching(names: list[str], patterns: tuple[str, ...]) -> list[str]:
    """Return the names that match a list of patterns such as `APP`."""
    return [
        name
        for name in names
        if any(
            name.startswith(pattern)
            if pattern.endswith("/")
            else PurePosixPath(name).match(pattern) and name.count("/") == pattern.count("/")
            for pattern in patterns
        )
    ]
