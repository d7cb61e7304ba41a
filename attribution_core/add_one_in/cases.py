"""Test cases of add-one-in benchmarks: exemplars, the images generated after tuning on them, and their features."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import float_matrix
from attribution_core.common.json_text import read_json
from attribution_core.common.tensors import float_rows, read_tensors
from attribution_core.errors import CheckpointError, InvalidInputError

if TYPE_CHECKING:
    from PIL import Image

_BATCH = 64


class Images(Protocol):
    """A mapping from paths to RGB images: an `ImageStore`, or a dict."""

    def __getitem__(self, path: str) -> Image.Image:
        """Return the image of a path."""


@dataclass(frozen=True)
class MadeImages:
    """Raw features of images that a case's models generated with one kind of prompt.

    features: (q, d) float32. model: (q,) int64, index into the case's chunks. paths: (q,) as named by the source.
    """

    features: NDArray[np.float32] = field(repr=False)
    model: NDArray[np.int64] = field(repr=False)
    paths: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class TestCase:
    """A test case: models, their exemplars, and generated images by kind of prompt.

    exemplars: (e, d) float32, raw. chunks: (m, 2) int64, start and stop row of each model's exemplars. made: generated
    images by kind of prompt.
    """

    __test__ = False  # keeps pytest from collecting this class

    name: str
    exemplars: NDArray[np.float32] = field(repr=False)
    chunks: NDArray[np.int64] = field(repr=False)
    made: Mapping[str, MadeImages]
    exemplar_paths: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Check all shapes and ranges. Raises `InvalidInputError`."""
        exemplars = float_matrix("exemplars", self.exemplars)
        chunks = np.asarray(self.chunks, dtype=np.int64)
        if chunks.ndim != 2 or chunks.shape[1] != 2 or len(chunks) == 0:
            raise InvalidInputError(f"case '{self.name}': chunks have shape {chunks.shape}, expected (m, 2).")
        if (
            (chunks[:, 0] < 0).any()
            or (chunks[:, 1] > len(exemplars)).any()
            or (chunks[:, 0] >= chunks[:, 1]).any()
        ):
            raise InvalidInputError(f"case '{self.name}': chunks lie outside its {len(exemplars)} exemplars.")
        for kind, made in self.made.items():
            rows = float_matrix(f"features of '{kind}'", made.features)
            if rows.shape[1] != exemplars.shape[1] or made.model.shape != (len(rows),):
                raise InvalidInputError(
                    f"case '{self.name}', '{kind}': features {rows.shape} and models {made.model.shape} do not match "
                    f"each other or exemplars of {exemplars.shape[1]} columns."
                )
            if len(rows) and not (0 <= made.model.min() and made.model.max() < len(chunks)):
                raise InvalidInputError(
                    f"case '{self.name}', '{kind}': a model number is not in 0..{len(chunks) - 1}."
                )
        object.__setattr__(self, "exemplars", exemplars)
        object.__setattr__(self, "chunks", chunks)

    @property
    def dim(self) -> int:
        """Dimension of the raw features."""
        return int(self.exemplars.shape[1])

    @classmethod
    def from_release(cls, path: str | os.PathLike[str]) -> TestCase:
        """Read `feats/<encoder>/test_*.pth` of the paper's release.

        Raises:
            CheckpointError: The file is missing, damaged, or not a test case.
            MissingDependencyError: torch is not installed.
        """
        stored = read_tensors(path)
        try:
            made = {
                str(kind): MadeImages(
                    float_rows(stored["synth_tensors"][kind]),
                    np.asarray(stored["synth_ids"][kind], dtype=np.int64).reshape(-1),
                    tuple(str(p) for p in stored["synth_paths"][kind]),
                )
                for kind in stored["synth_tensors"]
            }
            chunks = np.asarray([[int(a), int(b)] for a, b in stored["exemplar_chunks"]], dtype=np.int64)
            paths = tuple(str(p) for p in stored["exemplar_paths"])
            return cls(Path(path).stem, float_rows(stored["exemplar_tensors"]), chunks, made, paths)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"'{path}' is not a released test case ({type(error).__name__}: {error}); expected exemplar_paths, "
                "exemplar_chunks, exemplar_tensors, and synth_paths, synth_ids, synth_tensors by kind of prompt."
            ) from error


@dataclass(frozen=True)
class ManifestEntry:
    """A tuned model in a manifest. made: paths of generated images by kind of prompt. more: all other fields."""

    exemplars: tuple[str, ...]
    made: Mapping[str, tuple[str, ...]]
    class_id: str
    category: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in the released JSON format, followed by its other fields."""
        return {
            "exemplar": list(self.exemplars),
            "synth": {kind: list(paths) for kind, paths in self.made.items()},
            "class_id": self.class_id,
            "category": self.category,
            **self.more,
        }


def encode_case(
    encoder: Any,
    name: str,
    entries: Sequence[ManifestEntry],
    images: Images,
    on_image: Callable[[], object] | None = None,
) -> TestCase:
    """Encode the exemplars and generated images of some models, without augmentation, into a test case.

    encoder: anything with `.dim` and `encode(images) -> (n, d) float32`. images: reads the manifest's paths. on_image:
    called after each image is read. Raises `InvalidInputError` if there are no models, and whatever `images` raises.
    """
    if not entries:
        raise InvalidInputError(f"case '{name}' has no models; give a manifest with entries.")

    def features(paths: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.zeros((0, encoder.dim), np.float32)]
        for start in range(0, len(paths), _BATCH):
            batch = []
            for path in paths[start : start + _BATCH]:
                batch.append(images[path])
                if on_image is not None:
                    on_image()
            rows.append(encoder.encode(batch))
        return np.concatenate(rows)

    exemplars = list(itertools.chain.from_iterable(e.exemplars for e in entries))
    ends = np.cumsum([len(e.exemplars) for e in entries])
    made = {}
    for kind in dict.fromkeys(kind for e in entries for kind in e.made):
        paths = [(k, path) for k, e in enumerate(entries) for path in e.made.get(kind, ())]
        rows = features([path for _, path in paths])
        made[kind] = MadeImages(
            rows, np.array([k for k, _ in paths], np.int64), tuple(path for _, path in paths)
        )
    chunks = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    return TestCase(name, features(exemplars), chunks, made, tuple(exemplars))


def read_manifest(path: str | os.PathLike[str]) -> tuple[ManifestEntry, ...]:
    """Read a manifest: `dataset/json/test_*.json` of the release, or a bundled one. Raises `CheckpointError`."""
    try:
        rows = read_json(path)
        entries = tuple(
            ManifestEntry(
                tuple(str(p) for p in _list(row["exemplar"])),
                {str(kind): tuple(str(p) for p in _list(paths)) for kind, paths in row["synth"].items()},
                str(row.get("class_id", "")),
                str(row.get("category", "")),
                {k: v for k, v in row.items() if k not in ("exemplar", "synth", "class_id", "category")},
            )
            for row in _list(rows)
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"'{path}' does not exist; download or build the benchmark.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"'{path}' is not a manifest ({type(error).__name__}: {error}); expected a list of entries with exemplar, "
            "synth, class_id and category."
        ) from error
    return entries


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return value
