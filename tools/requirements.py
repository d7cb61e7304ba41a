"""Writes requirements.txt and requirements-dev.txt from pyproject.toml: `python -m tools.requirements [--check]`.

Hugging Face Spaces and the Dockerfile read the first; `make` installs both. Ranges stay as pyproject.toml has them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from attribution_core.common.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
APP, DEVELOPMENT = "requirements.txt", "requirements-dev.txt"
_HEAD = "# Written by `python -m tools.requirements` from pyproject.toml; change that.\n"
_NAME = re.compile(r"[\w.-]+")


class Project:
    """The dependencies that pyproject.toml names."""

    def __init__(self, text: str) -> None:
        """text: of pyproject.toml."""
        read: dict[str, Any] = tomllib.loads(text)
        self.name: str = read["project"]["name"]
        self.base: list[str] = read["project"]["dependencies"]
        self.extras: dict[str, list[str]] = read["project"]["optional-dependencies"]
        self.groups: dict[str, list[str]] = read["dependency-groups"]

    def of(self, *extras: str) -> Iterator[str]:
        """The requirements of extras; an extra that names others stands for theirs. Raises `KeyError`."""
        for extra in extras:
            for requirement in self.extras[extra]:
                others = re.fullmatch(rf"{re.escape(self.name)}\[([\w,-]+)\]", requirement)
                if others is None:
                    yield requirement
                else:
                    yield from self.of(*others[1].split(","))


def files(project: Project) -> dict[str, str]:
    """File name -> content of both files."""
    app = _sorted([*project.base, *project.of("app", "datasets")])
    development = _sorted([*project.of("train", "ray", "milvus", "c2pa", "map"), *project.groups["dev"]])
    return {
        APP: _HEAD + "".join(f"{one}\n" for one in app),
        DEVELOPMENT: f"{_HEAD}-r {APP}\n" + "".join(f"{one}\n" for one in development if one not in app),
    }


def _sorted(requirements: Iterable[str]) -> list[str]:
    """Each once, by name. Raises `ValueError` where a package has two ranges."""
    unique = sorted(set(requirements), key=str.lower)
    names = [match[0].lower() for one in unique if (match := _NAME.match(one))]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"pyproject.toml gives {', '.join(sorted(twice))} more than one range.")
    return unique


def main(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file differs from pyproject.toml.")
    ] = False,
) -> None:
    """Write both files, or check them."""
    for name, content in files(Project((ROOT / "pyproject.toml").read_text(encoding="utf-8"))).items():
        path = ROOT / name
        if check and path.read_text(encoding="utf-8") != content:
            typer.echo(f"{name} differs from pyproject.toml; run `python -m tools.requirements`.", err=True)
            raise typer.Exit(1)
        if not check:
            with atomic_path(path) as temporary:
                temporary.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
