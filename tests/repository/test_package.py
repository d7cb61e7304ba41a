"""The library as a package: its wheel, what it depends on, and what it says where nothing that ships is at hand."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import fake_collection, shape_image

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIP_NAMES = {"PIL": "pillow", "faiss": "faiss_cpu", "open_clip": "open_clip_torch"}


def named(requirements: list[str]) -> dict[str, str]:
    """Package -> its range."""
    parts = [re.fullmatch(r"([\w.-]+)(.*)", line) for line in requirements]
    return {part[1]: part[2] for part in parts if part}


BASE = named(PROJECT["dependencies"])
EXTRAS = {name: named(packages) for name, packages in PROJECT["optional-dependencies"].items()}


def listed(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return named([line for line in lines if line and not line.startswith(("#", "-"))])


def imported(folder: str) -> set[str]:
    """Packages that the modules of a folder import and that are neither Python's nor ours, by the names pip knows."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
            elif (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "_library"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(str(node.args[0].value).split(".")[0])
    ours = {"attribution_core", "ui", "pocket", "tools"}
    return {PIP_NAMES.get(name, name) for name in found - set(sys.stdlib_module_names) - ours}


def test_the_app_needs_what_the_package_names() -> None:
    app = BASE | EXTRAS["app"]
    requirements, recipes = listed("requirements.txt"), listed("requirements-dev.txt")
    assert app.items() <= requirements.items()
    assert requirements.items() <= (app | EXTRAS["train"]).items()
    assert EXTRAS["train"].items() <= (requirements | recipes).items()


def test_every_import_has_its_package() -> None:
    base, app, train = (
        {name.replace("-", "_") for name in names} for names in (BASE, EXTRAS["app"], EXTRAS["train"])
    )
    # Where one of these is used and missing, a sentence says so.
    extras = {name.replace("-", "_") for extra in ("milvus", "heic") for name in EXTRAS[extra]}
    asked_for = {"datasets", "ray", "grpc", *extras}
    assert imported("attribution_core") - asked_for <= base
    of_gradio = {"anyio", "fastapi", "gradio_client", "starlette"}  # what it is made of, and comes with
    assert imported("ui") - {"spaces"} - of_gradio <= base | app  # spaces is there where it is of use
    assert imported("pocket") <= base | train


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sources alone and unpacked, as pip would."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(
        ROOT / "attribution_core", source / "attribution_core", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copyfile(ROOT / name, source / name)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            ".",
            "--no-deps",
            "--no-build-isolation",
            "-q",
            "-w",
            str(target),
        ],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    wheel = next(target.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    wheel.unlink()
    return target


def run(installed: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("ATTRIBUTION_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=installed.parent,
        capture_output=True,
        text=True,
        timeout=300,
        env={**variables, "PYTHONPATH": str(installed), **environment},
    )


def test_the_wheel_holds_the_library_typed_and_nothing_else(installed: Path) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "attribution_core").rglob("*.py")}
    there = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    about = {name for name in there if ".dist-info/" in name}
    data = {"attribution_core/py.typed", "attribution_core/evidence/paper_table2.csv"}
    templates = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "attribution_core/reports/templates").iterdir()
        if path.suffix in (".j2", ".css")
    }
    assert len(templates) == 5
    assert there - about == modules | data | templates
    told = importlib.metadata.PathDistribution(next(installed.glob("*.dist-info"))).metadata
    assert told["Name"] == "attribution-explorer" and told["License-Expression"] == "Apache-2.0"
    assert set(told.get_all("Provides-Extra") or []) == set(EXTRAS)
    assert {Path(name).name for name in about} >= {"LICENSE", "NOTICE", "METADATA"}


def test_the_wheel_is_the_version_that_the_library_tells(installed: Path) -> None:
    done = run(installed, "-c", "import attribution_core as a; print(a.__version__, a.__file__)")
    version, place = done.stdout.split()
    assert place.startswith(str(installed)), "the library came from elsewhere"
    assert next(installed.glob("*.dist-info")).name == f"attribution_explorer-{version}.dist-info"


def test_what_does_not_ship_in_the_wheel_is_asked_for_in_one_line(installed: Path, tmp_path: Path) -> None:
    shape_image(1).save(tmp_path / "one.png")
    done = run(installed, "-m", "attribution_core", "attribute", str(tmp_path / "one.png"))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "ATTRIBUTION_CHECKPOINTS" in done.stderr and "Clone the repository" in done.stderr
    done = run(installed, "-m", "attribution_core", "index", str(tmp_path), "--out", str(tmp_path / "mine"))
    assert done.returncode == 2 and "ATTRIBUTION_CHECKPOINTS" in done.stderr.splitlines()[-1]


def test_an_installed_library_reads_what_ships_from_where_it_is_told(installed: Path, tmp_path: Path) -> None:
    fake_collection(tmp_path / "checkpoints/pocket", n=30)
    shape_image(7).save(tmp_path / "seven.png")
    done = run(
        installed,
        "-m",
        "attribution_core",
        "attribute",
        str(tmp_path / "seven.png"),
        "--json",
        ATTRIBUTION_CHECKPOINTS=str(tmp_path / "checkpoints"),
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["top"][0]["id"] == "shape/0007"
