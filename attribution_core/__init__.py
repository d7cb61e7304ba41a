"""Estimates the influence of training images on an image that a model generated.

Importing this package loads neither torch nor FAISS nor a model; each name is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from attribution_core._version import __version__ as __version__

if TYPE_CHECKING:
    from attribution_core.attribution.attributor import Attributor
    from attribution_core.attribution.result import Attribution
    from attribution_core.collection.collection import Collection
    from attribution_core.corpus.corpus import Corpus
    from attribution_core.corpus.credit import Credit
    from attribution_core.encoding.encoders import ENCODERS, load_encoder
    from attribution_core.encoding.protocol import ImageEncoder
    from attribution_core.errors import (
        AttributionError,
        CheckpointError,
        CollectionMismatchError,
        DownloadError,
        InvalidImageError,
        InvalidInputError,
        MissingDependencyError,
        NotFittedError,
        UnknownNameError,
    )
    from attribution_core.mapping.pair import MapperPair
    from attribution_core.retrieval.hits import Hits
    from attribution_core.retrieval.index import TrainingIndex
    from attribution_core.retrieval.rest import LogSum, Rest, RestKind
    from attribution_core.scoring.calibrator import Calibrator
    from attribution_core.scoring.shares import Scale, Shares

_HOME = {
    "Attributor": "attribution.attributor",
    "Collection": "collection.collection",
    "Calibrator": "scoring.calibrator",
    "Corpus": "corpus.corpus",
    "ENCODERS": "encoding.encoders",
    "load_encoder": "encoding.encoders",
    "AttributionError": "errors",
    "CheckpointError": "errors",
    "CollectionMismatchError": "errors",
    "DownloadError": "errors",
    "InvalidImageError": "errors",
    "InvalidInputError": "errors",
    "MissingDependencyError": "errors",
    "NotFittedError": "errors",
    "UnknownNameError": "errors",
    "TrainingIndex": "retrieval.index",
    "MapperPair": "mapping.pair",
    "ImageEncoder": "encoding.protocol",
    "LogSum": "retrieval.rest",
    "Rest": "retrieval.rest",
    "RestKind": "retrieval.rest",
    "Attribution": "attribution.result",
    "Credit": "corpus.credit",
    "Hits": "retrieval.hits",
    "Scale": "scoring.shares",
    "Shares": "scoring.shares",
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
    "DownloadError",
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
    "Scale",
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
