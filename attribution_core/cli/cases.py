"""Test cases for the commands `calibrate` and `evaluate`, from released features or manifests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attribution_core.add_one_in.cases import TestCase
    from attribution_core.corpus.corpus import Corpus


def read_case(path: Path, encoder: str, images: Sequence[Path], device: str) -> TestCase:
    """Read a released test case (.pth), or encode the images of a manifest, with a progress bar.

    Raises `InvalidInputError` for a manifest without a folder of images, and as `TestCase.from_release` and
    `encode_case` do.
    """
    from tqdm import tqdm

    from attribution_core.add_one_in.cases import TestCase, encode_case, read_manifest
    from attribution_core.add_one_in.image_store import ImageStore
    from attribution_core.encoding.encoders import load_encoder
    from attribution_core.errors import InvalidInputError

    if path.suffix == ".pth":
        return TestCase.from_release(path)
    entries = read_manifest(path)
    if not images:
        raise InvalidInputError(f"'{path}' is a manifest; name the folder of its images with --images.")
    total = sum(len(e.exemplars) + sum(map(len, e.made.values())) for e in entries)
    with tqdm(total=total, unit="image", desc=path.stem, disable=not sys.stderr.isatty()) as bar:
        return encode_case(
            load_encoder(encoder, device), path.stem, entries, ImageStore.open(*images), bar.update
        )


def encode_images(corpus: Corpus, encoder: str, device: str) -> NDArray[np.float32]:
    """Encode all images of a corpus to (n, d) raw features, with a progress bar."""
    from attribution_core.cli.progress import progress_bar
    from attribution_core.collection.encode import encode_corpus
    from attribution_core.encoding.encoders import load_encoder

    with progress_bar("image") as show:
        return encode_corpus(corpus, load_encoder(encoder, device), show)
