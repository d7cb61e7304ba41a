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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from attribution_core.common.optional import EXTRA_OF
from tests.support.fakes import fake_collection, shape_image
from tools.requirements import Project, files

ROOT = Path(__file__).resolve().parents[2]
PIP_NAMES = {
    "PIL": "pillow",
    "c2pa": "c2pa_python",
    "faiss": "faiss_cpu",
    "open_clip": "open_clip_torch",
    "umap": "umap_learn",
}


def names(requirements: Iterable[str]) -> set[str]:
    """Names of packages as pip compares them."""
    return {re.split(r"[^\w.-]", one, maxsplit=1)[0].lower().replace("-", "_") for one in requirements}


DEPENDENCIES = Project((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BASE = names(DEPENDENCIES.base)


def of(*extras: str) -> set[str]:
    return names(DEPENDENCIES.of(*extras))


def imported(folder: str, optional: bool) -> set[str]:
    """Packages that the modules of a folder import and that are neither Python's nor ours, by the names pip knows.

    optional: those that `import_optional` and what is named after it in `loaders.py` import, or all others.
    """
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and optional:
                if ast.unparse(node.func) in ("_library", "import_optional") and isinstance(
                    node.args[0], ast.Constant
                ):
                    found.add(str(node.args[0].value).split(".")[0])
            elif isinstance(node, ast.Import) and not optional:
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level and not optional:
                found.add(node.module.split(".")[0])
    ours = {"attribution_core", "ui", "pocket", "tools"}
    return {PIP_NAMES.get(name, name).lower() for name in found - set(sys.stdlib_module_names) - ours}


def test_the_requirements_files_are_those_of_pyproject() -> None:
    for name, content in files(DEPENDENCIES).items():
        assert (ROOT / name).read_text(encoding="utf-8") == content, "run `python -m tools.requirements`"
    app = names(files(DEPENDENCIES)["requirements.txt"].splitlines()[1:])
    assert app == BASE | of("app", "datasets") >= of("encoders", "generate", "plots")
    assert "torch>=2.8,<3\n" in files(DEPENDENCIES)["requirements.txt"], (
        "a range, as Spaces bring their own torch"
    )


def test_the_lock_is_of_these_dependencies_and_of_pypi_alone() -> None:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    assert set(re.findall(r"\w+://[^/\"]+", text)) == {"https://pypi.org", "https://files.pythonhosted.org"}
    assert not re.search(r"[{ ]path = \"", text) and set(re.findall(r"editable = (\S+)", text)) == {'"."'}
    packages = {package["name"]: package for package in tomllib.loads(text)["package"]}
    locked = packages["attribution-explorer"]["metadata"]
    ranges = {
        (one["name"].replace("-", "_"), one.get("specifier", ""))
        for one in [*locked["requires-dist"], *locked["requires-dev"]["dev"]]
        if one["name"] != "attribution-explorer"
    }
    asked = [*DEPENDENCIES.base, *DEPENDENCIES.of(*DEPENDENCIES.extras), *DEPENDENCIES.groups["dev"]]
    plain = [re.sub(r"\[.*?\]|;.*", "", one) for one in asked]
    assert ranges == {(names([one]).pop(), re.sub(r"^[\w.-]+", "", one)) for one in plain}


@pytest.mark.parametrize(
    ("base", "extras", "error"),
    [
        ('["numpy>=2"]', 'app = ["it[plots]"]\nplots = ["numpy>=3"]', ValueError),
        ("[]", 'app = ["it[plots]"]', KeyError),
    ],
)
def test_two_ranges_of_one_package_and_unknown_extras_are_refused(
    base: str, extras: str, error: type[Exception]
) -> None:
    text = f"""
[project]
name = "it"
dependencies = {base}
[project.optional-dependencies]
datasets = []
train = []
ray = []
milvus = []
{extras}
[dependency-groups]
dev = []
"""
    with pytest.raises(error, match="numpy|plots"):
        files(Project(text))


def test_every_import_has_its_package() -> None:
    assert {PIP_NAMES.get(module, module).lower() for module in EXTRA_OF} <= of(*DEPENDENCIES.extras)
    for module, extra in EXTRA_OF.items():
        assert PIP_NAMES.get(module, module).lower() in names(DEPENDENCIES.extras[extra]), module
    extras = of("encoders", "generate", "plots", "datasets", "ray", "milvus", "heic", "c2pa", "map")
    assert imported("attribution_core", optional=True) <= extras
    assert (
        imported("attribution_core", optional=False) - {"grpc", "cryptography"} <= BASE | extras
    )  # these come with pymilvus and c2pa-python
    of_gradio = {"anyio", "fastapi", "gradio_client", "starlette"}  # come with gradio
    assert imported("ui", optional=False) - {"spaces"} - of_gradio <= BASE | of(
        "app"
    )  # ZeroGPU brings spaces
    assert imported("pocket", optional=False) <= BASE | of("train")


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
    assert len(templates) == 9
    fonts = {
        f"attribution_core/reports/fonts/{n}" for n in ("Inter-Regular.ttf", "Inter-SemiBold.ttf", "OFL.txt")
    }
    assert there - about == modules | data | templates | fonts
    told = importlib.metadata.PathDistribution(next(installed.glob("*.dist-info"))).metadata
    assert told["Name"] == "attribution-explorer" and told["License-Expression"] == "Apache-2.0"
    assert set(told.get_all("Provides-Extra") or []) == set(DEPENDENCIES.extras)
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


BLOCKED = """
import runpy, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
sys.argv = {argv!r}
{code}
"""
COMMAND = "runpy.run_module('attribution_core', run_name='__main__', alter_sys=True)"


def bare(installed: Path, code: str = COMMAND, *argv: object, **environment: str) -> Any:
    """Run in a Python that lacks all packages of extras."""
    modules = {*EXTRA_OF, "huggingface_hub", "gradio"}
    text = BLOCKED.format(modules=modules, argv=["attribution_core", *map(str, argv)], code=code)
    return run(installed, "-c", text, **environment)


def test_without_extras_a_collection_is_attributed_over_and_each_command_helps(
    installed: Path, tmp_path: Path
) -> None:
    fake_collection(tmp_path / "shapes", n=30)
    shape_image(7).save(tmp_path / "seven.png")
    done = bare(
        installed, COMMAND, "attribute", tmp_path / "seven.png", "--collection", tmp_path / "shapes", "--json"
    )
    assert json.loads(done.stdout)["top"][0]["id"] == "shape/0007", done.stderr
    done = bare(installed, COMMAND, "--help")
    assert done.returncode == 0 and "second-opinion" in done.stdout
    done = bare(
        installed, "import attribution_core as a; [getattr(a, name) for name in a.__all__]; print('all')"
    )
    assert done.stdout == "all\n", done.stderr


@pytest.mark.parametrize(
    ("extra", "argv"),
    [
        ("encoders", ("attribute", "seven.png")),
        ("generate", ("generate", "a red heart", "--out", "heart.png")),
        ("ray", ("index", "shapes", "--out", "mine", "--encoder", "rgb-thumbnail", "--engine", "ray")),
        (
            "milvus",
            ("index", "shapes", "--out", "mine", "--encoder", "rgb-thumbnail", "--store", "milvus://h:1"),
        ),
        ("datasets", ("index", "datasets:some/where", "--out", "mine", "--encoder", "rgb-thumbnail")),
    ],
)
def test_what_needs_an_extra_names_it_in_one_sentence(
    installed: Path, tmp_path: Path, extra: str, argv: tuple[str, ...]
) -> None:
    (tmp_path / "shapes").mkdir()
    for path in (tmp_path / "seven.png", tmp_path / "shapes/seven.png"):
        shape_image(7).save(path)
    here = [tmp_path / one if one in ("seven.png", "shapes", "mine", "heart.png") else one for one in argv]
    done = bare(installed, COMMAND, *here, ATTRIBUTION_CHECKPOINTS=str(ROOT / "checkpoints"))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f'pip install "attribution-explorer[{extra}]"' in done.stderr


def test_figures_without_plotly_name_their_extra(installed: Path) -> None:
    code = "from attribution_core.figures.style import draw; draw([], 'x', 'y')"
    done = bare(installed, code)
    assert 'pip install "attribution-explorer[plots]"' in done.stderr.splitlines()[-1]
