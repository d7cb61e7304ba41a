"""Reads third-party tensor files without running code in them."""

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
    """Read a `.pth` file that holds only tensors, numbers, text, lists and dicts.

    mapped: memory-map the tensors if the file's format allows it. `weights_only=True` keeps the file from running
    code. Raises `CheckpointError` if it is missing, damaged, or holds other objects, `MissingDependencyError` without
    torch.
    """
    torch = import_optional("torch", "reading .pth files")
    try:
        # Files from before torch 1.6 are not zip archives and cannot be mapped.
        in_place = mapped and zipfile.is_zipfile(path)
        return torch.load(Path(path), map_location="cpu", weights_only=True, mmap=in_place)
    except FileNotFoundError as error:
        raise CheckpointError(f"'{path}' does not exist; download the released weights first.") from error
    except Exception as error:  # PyTorch's reader raises all kinds of errors on damaged files
        raise CheckpointError(
            f"'{path}' cannot be read as plain tensors ({type(error).__name__}); it is damaged or holds other "
            "objects, which are not allowed, so download it again."
        ) from error


def float_rows(tensor: Any) -> NDArray[np.float32]:
    """Convert a tensor, possibly sparse or with gradients, to a C-contiguous float32 array."""
    import torch

    plain = tensor.detach()
    return np.ascontiguousarray(
        (plain if plain.layout == torch.strided else plain.to_dense()).float().numpy()
    )
