"""Estimated influence of training images on an image that a model made.

Importing this package loads neither torch nor FAISS nor a model: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attribution_core.attribution import Attributor, Collection
    from attribution_core.calibration import Calibrator
    from attribution_core.corpus import Corpus
    from attribution_core.encoders import ENCODERS, load_encoder
    from attribution_core.errors import (
        AttributionError,
        CheckpointError,
        CollectionMismatchError,
        InvalidImageError,
        InvalidInputError,
        MissingDependencyError,
        NotFittedError,
        UnknownNameError,
    )
    from attribution_core.index import TrainingIndex
    from attribution_core.mappers import MapperPair
    from attribution_core.protocols import ImageEncoder
    from attribution_core.rest import LogSum, Rest, RestKind
    from attribution_core.results import Attribution, Credit, Hits, Shares

__version__ = "0.1.0"

_HOME = {
    "Attributor": "attribution",
    "Collection": "attribution",
    "Calibrator": "calibration",
    "Corpus": "corpus",
    "ENCODERS": "encoders",
    "load_encoder": "encoders",
    "AttributionError": "errors",
    "CheckpointError": "errors",
    "CollectionMismatchError": "errors",
    "InvalidImageError": "errors",
    "InvalidInputError": "errors",
    "MissingDependencyError": "errors",
    "NotFittedError": "errors",
    "UnknownNameError": "errors",
    "TrainingIndex": "index",
    "MapperPair": "mappers",
    "ImageEncoder": "protocols",
    "LogSum": "rest",
    "Rest": "rest",
    "RestKind": "rest",
    "Attribution": "results",
    "Credit": "results",
    "Hits": "results",
    "Shares": "results",
}

__all__ = [
    "ENCODERS",
    "Attribution",
    "AttributionError",
    "Attributor",
    "Calibrator",
    "CheckpointError",
    "Collection",
    "CollectionMismatchError",
    "Corpus",
    "Credit",
    "Hits",
    "ImageEncoder",
    "InvalidImageError",
    "InvalidInputError",
    "LogSum",
    "MapperPair",
    "MissingDependencyError",
    "NotFittedError",
    "Rest",
    "RestKind",
    "Shares",
    "TrainingIndex",
    "UnknownNameError",
    "load_encoder",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
