"""What Gradio does not document is used in one module, so that an upgrade has one place to look at."""

from __future__ import annotations

import ast
import importlib.metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPAT = "ui/gradio_compat.py"
DOCUMENTED = {("gradio_client", "handle_file")}
"""What may be imported otherwise than by `import gradio as gr`."""
UNDOCUMENTED = {
    "accept_blobs",
    "active_jobs",
    "blob_storage",
    "event_ids_to_events",
    "event_queue_per_concurrency_id",
    "fns",
    "mcp_server_obj",
    "preprocess_data",
    "process_api",
    "state_holder",
    "tool_to_endpoint",
}
"""Of Gradio's objects, though without an underscore."""


def private_uses(source: str) -> list[str]:
    """Where a module imports Gradio's submodules, or reaches into its objects."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [
                alias.name for alias in node.names if alias.name.startswith(("gradio.", "gradio_client."))
            ]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "gradio",
            "gradio_client",
        ):
            taken = [(node.module or "", alias.name) for alias in node.names]
            names = [f"{module}.{name}" for module, name in taken if (module, name) not in DOCUMENTED]
        elif isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            hidden = node.attr.startswith("_") and not node.attr.startswith("__")
            names = [node.attr] if not own and (hidden or node.attr in UNDOCUMENTED) else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value] if node.value in ("_data", "_queue", "_id") else []
        else:
            names = []
        found += [f"line {node.lineno}: {name}" for name in names]
    return found


def test_gradios_private_side_is_in_one_module() -> None:
    files = [ROOT / "app.py", *sorted((ROOT / "ui").rglob("*.py"))]
    found = {
        path.relative_to(ROOT).as_posix(): uses
        for path in files
        if (uses := private_uses(path.read_text(encoding="utf-8")))
    }
    assert set(found) == {COMPAT}, found


@pytest.mark.parametrize(
    "source",
    [
        "from gradio.queueing import Queue",
        "import gradio.utils",
        "from gradio_client.utils import strip_invalid_filename_characters",
        "from gradio_client import utils",
        "page._queue = 1",
        "page.state_holder.session_data",
        "vars(event).get('_data')",
    ],
)
def test_each_way_in_is_noticed(source: str) -> None:
    assert private_uses(source)


@pytest.mark.parametrize(
    "source", ["import gradio as gr", "self._kept = 1", "from gradio_client import handle_file"]
)
def test_the_documented_side_is_open_to_all(source: str) -> None:
    assert private_uses(source) == []


def test_the_module_names_the_version_it_was_written_for() -> None:
    written_for = (ROOT / COMPAT).read_text(encoding="utf-8").split("Written for Gradio ")[1]
    assert written_for.startswith(".".join(importlib.metadata.version("gradio").split(".")[:2]) + ";")
