"""Packages that only an extra of this library installs: imported when used, and a missing one names its extra."""

from __future__ import annotations

import importlib
from typing import Any

from attribution_core.errors import MissingDependencyError

EXTRA_OF = {
    "torch": "encoders",
    "torchvision": "encoders",
    "timm": "encoders",
    "open_clip": "encoders",
    "diffusers": "generate",
    "transformers": "generate",
    "accelerate": "generate",
    "plotly": "plots",
    "mcp": "app",
    "datasets": "datasets",
    "ray": "ray",
    "pymilvus": "milvus",
    "milvus_lite": "milvus",
    "pillow_heif": "heic",
    "c2pa": "c2pa",
    "umap": "map",
}
"""Top-level module -> the extra that installs it; a test compares them with pyproject.toml."""


def how_to_install(module: str) -> str:
    """The command that installs a module of `EXTRA_OF`."""
    return f'pip install "attribution-explorer[{EXTRA_OF[module.partition(".")[0]]}]"'


def import_optional(module: str, purpose: str) -> Any:
    """Import a module of `EXTRA_OF`.

    module: dotted name, such as "torch.nn.functional". purpose: what needs it, the beginning of the message:
    "drawing figures". Raises `MissingDependencyError`.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(f"{purpose} needs {package}; run `{how_to_install(module)}`.") from error
