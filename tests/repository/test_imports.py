"""The layers of the design, read from the imports: ui -> library, never back, and floors inside the library."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "attribution_core"
UI_LIBRARIES = {"gradio", "gradio_client"}

# A module imports what stands above its own line; on the middle floor modules do not import each other.
GROUND = {
    "errors",
    "checks",
    "results",
    "rest",
    "shares",
    "sampling",
    "cards",
    "settings",
    "images",
    "recipe",
    "nearest_rest",
    "previews",
    "protocols",
    "words",
    "devices",
    "noise_signal",
    "fetching",
    "archives",
    "released_heads",
    "placeholders",
    "works",
    "ray_cluster",
}
MIDDLE = {
    "corpus",
    "encoders",
    "encoder_loaders",
    "encoder_spec",
    "generators",
    "generator_memory",
    "generator_loading",
    "mappers",
    "index",
    "calibration",
    "metrics",
    "reliability",
    "testcases",
    "generation",
    "figures",
    "downloads",
    "pipeline_edits",
    "tuning_images",
    "tuning",
    "mapper_fit",
    "augmentations",
    "image_store",
    "duplicates",
    "flat_scan",
    "milvus_store",
    "milvus_address",
}
UPPER = {
    "addonein",
    "attribution",
    "evidence",
    "evidence_figures",
    "groups",
    "group_figures",
    "regions",
    "region_figures",
    "unlearning",
    "second_opinion",
    "second_opinion_figures",
    "memorization",
    "customization",
    "training",
    "evaluation",
    "indexing",
    "compare",
    "compare_figures",
    "ledger",
    "report",
    "report_html",
    "copies",
    "alignment",
    "matching",
    "overlays",
    "memorization_evidence",
    "memorization_figures",
    "memorization_html",
    "memorized_prompts",
    "scan",
    "artwork",
    "artwork_figures",
    "artwork_learned",
    "artwork_survey",
    "editions",
    "shards",
    "image_sources",
    "metadata_join",
    "source_items",
    "stream_sources",
    "release",
    "released_texts",
    "ray_engine",
}
TOP = {
    "cli",
    "cli_artwork",
    "cli_calibrate",
    "cli_cases",
    "cli_customize",
    "cli_download",
    "cli_evaluate",
    "cli_from_release",
    "cli_index",
    "cli_memorization",
    "cli_opinion",
    "cli_report",
    "cli_train",
    "__main__",
    "__init__",
}
FLOORS = (GROUND, MIDDLE, UPPER, TOP)
# Helpers of one module, split off for its length: they may be imported on the floor they stand on.
HELPERS = {
    "encoder_loaders",
    "encoder_spec",
    "generators",
    "generator_memory",
    "generator_loading",
    "pipeline_edits",
    "tuning_images",
    "tuning",
    "mapper_fit",
    "flat_scan",
    "milvus_store",
    "milvus_address",
}


def imports(path: Path, typing_too: bool = True) -> Iterator[str]:
    """Full names of imported modules, also those inside functions; typing_too: under TYPE_CHECKING as well."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not typing_too:
            for child in node.orelse:
                yield from walk(child)
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else "", node.module or ""]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def library_modules(path: Path, typing_too: bool = True) -> set[str]:
    found = set()
    for name in imports(path, typing_too):
        parts = name.split(".")
        if parts[0] == "attribution_core" and len(parts) > 1 and (LIBRARY / f"{parts[1]}.py").exists():
            found.add(parts[1])
    return found - {path.stem}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    "path", sources("attribution_core", "pocket", "benchmarks"), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_only_the_ui_and_the_app_import_gradio(path: Path) -> None:
    if path.parent.name == "benchmarks":
        assert not roots(path) & {"ui"}, "a benchmark starts the app as a user does"
    else:
        assert not roots(path) & (UI_LIBRARIES | {"ui", "app"})


@pytest.mark.parametrize("path", sources("attribution_core"), ids=lambda p: p.stem)
def test_the_library_does_not_know_what_is_built_on_it(path: Path) -> None:
    assert not roots(path) & {"ui", "app", "pocket", "benchmarks", "tests"}


@pytest.mark.parametrize("path", [*sources("ui"), ROOT / "app.py"], ids=lambda p: p.stem)
def test_the_ui_computes_nothing_itself(path: Path) -> None:
    assert not roots(path) & {"torch", "faiss", "diffusers", "transformers", "timm", "open_clip", "pocket"}


@pytest.mark.parametrize("path", sources("attribution_core"), ids=lambda p: p.stem)
def test_each_module_keeps_to_its_floor(path: Path) -> None:
    floor = next((k for k, names in enumerate(FLOORS) if path.stem in names), None)
    assert floor is not None, (
        f"{path.name} stands on no floor: add it to one in tests/repository/test_imports.py"
    )
    if path.stem in TOP:
        return
    for other in library_modules(path):
        theirs = next(k for k, names in enumerate(FLOORS) if other in names)
        assert theirs <= floor, f"{path.stem} imports {other}, which stands on a higher floor"
        if floor == 1:
            assert theirs < 1 or other in HELPERS, f"{path.stem} and {other} stand side by side"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        path.stem: library_modules(path, typing_too=False)
        for path in sources("attribution_core")
        if path.stem not in TOP
    }
    assert "errors" in list(TopologicalSorter(graph).static_order())


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
    assert not _loaded_after("import attribution_core.cli") & HEAVY


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
