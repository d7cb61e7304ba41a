"""The released file of all training features, memory-mapped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.tensors import float_rows, read_tensors
from attribution_core.errors import CheckpointError

_BLOCK = 16_384


@dataclass(frozen=True)
class ReleasedTrainingFeatures:
    """Raw features of a training set from `feats/<encoder>/laion_subset.pth`, memory-mapped and read in blocks.

    features: (n, d) tensor. paths: (n,).
    """

    features: Any = field(repr=False)
    paths: tuple[str, ...] = field(repr=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ReleasedTrainingFeatures:
        """Open the file; features stay on disk until read. Raises `CheckpointError`."""
        stored = read_tensors(path, mapped=True)
        import torch

        try:
            if not isinstance(stored, dict):
                raise TypeError(f"expected a dict, found {type(stored).__name__}")
            features, paths = stored["feats"].detach(), stored["paths"]
            if features.layout != torch.strided:
                features = features.to_dense()
            if features.ndim != 2 or len(paths) != len(features):
                raise ValueError(f"features {tuple(features.shape)} and {len(paths)} paths")
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"'{path}' is not a file of released training features ({type(error).__name__}: {error}); expected "
                "feats (n, d) and n paths."
            ) from error
        return cls(features, tuple(str(p) for p in paths))

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self.features)

    def blocks(self, size: int = _BLOCK) -> Iterator[NDArray[np.float32]]:
        """Yield (n, d) float32 blocks of raw features in order."""
        for start in range(0, len(self.features), size):
            yield float_rows(self.features[start : start + size])
