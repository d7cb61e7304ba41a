"""Tensors of other people, read without running their code."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.optional import import_optional
from attribution_core.errors import CheckpointError


def read_tensors(path: str | os.PathLike[str], mapped: bool = False) -> Any:
    """Return what a `.pth` file of others holds: tensors, numbers, text, lists and dicts, nothing else.

    mapped: leave tensors on the disk until they are used, where the file's format allows it.
    Read with `weights_only=True`, so that a file cannot run code. Raises `CheckpointError` if it is missing,
    damaged, or holds other objects, `MissingDependencyError` without torch.
    """
    torch = import_optional("torch", "reading .pth files")
    try:
        # Files of before torch 1.6 are no zip archives and cannot be mapped.
        in_place = mapped and zipfile.is_zipfile(path)
        return torch.load(Path(path), map_location="cpu", weights_only=True, mmap=in_place)
    except FileNotFoundError as error:
        raise CheckpointError(f"'{path}' does not exist; download the released weights first.") from error
    except Exception as error:  # PyTorch's reader fails on damaged files in any way that there is
        raise CheckpointError(
            f"'{path}' cannot be read as plain tensors ({type(error).__name__}): it is damaged, or holds "
            "other objects, which are refused. Download it again."
        ) from error


def float_rows(tensor: Any) -> NDArray[np.float32]:
    """A tensor as a C-contiguous float32 array, whether it is sparse or was saved with its gradients."""
    import torch

    plain = tensor.detach()
    return np.ascontiguousarray(
        (plain if plain.layout == torch.strided else plain.to_dense()).float().numpy()
    )
