"""Who imports what of other people, and what loading the library costs; `lint-imports` keeps the layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UI_LIBRARIES = {"gradio", "gradio_client"}


def roots(path: Path) -> set[str]:
    """What a file imports, by the first part of its name; inside of functions and under TYPE_CHECKING, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def importers(wanted: set[str], *folders: str) -> list[str]:
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert files, folders
    return [path.relative_to(ROOT).as_posix() for path in files if roots(path) & wanted]


def test_only_the_page_knows_gradio() -> None:
    assert importers(UI_LIBRARIES, "attribution_core", "pocket", "ui/services") == []
    assert "ui/page.py" in importers(UI_LIBRARIES, "ui")


def test_nothing_knows_the_app_or_the_tests() -> None:
    assert (
        importers({"app", "tests"}, "attribution_core", "ui", "pocket", "benchmarks", "deploy", "tools") == []
    )


def test_the_ui_computes_nothing_itself() -> None:
    heavy = {"torch", "faiss", "diffusers", "transformers", "timm", "open_clip", "pocket"}
    assert importers(heavy, "ui") == [] and not roots(ROOT / "app.py") & heavy


def _loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


HEAVY = {
    "torch",
    "torchvision",
    "faiss",
    "gradio",
    "diffusers",
    "transformers",
    "timm",
    "open_clip",
    "datasets",
    "pandas",
    "scipy",
    "plotly",
    "pymilvus",
    "milvus_lite",
    "ray",
}


def test_importing_the_library_loads_nothing_heavy() -> None:
    loaded = _loaded_after("import attribution_core")
    assert "attribution_core" in loaded
    assert not loaded & HEAVY


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert not _loaded_after("import attribution_core.cli.main") & HEAVY


def test_importing_the_library_makes_no_folder(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import attribution_core.settings, attribution_core.errors"
    environment = {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "PATH": "",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=120)
    assert list(tmp_path.iterdir()) == []
