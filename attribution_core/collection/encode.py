"""Raw features of all images of a corpus, in its order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.progress import OnProgress, Progress
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.protocol import ImageEncoder


def encode_corpus(
    corpus: Corpus,
    encoder: ImageEncoder,
    on_progress: OnProgress | None = None,
    block: int = 512,
) -> NDArray[np.float32]:
    """Encode all images of a corpus: raw features, (n, d) float32. block: how many are decoded at a time.

    Raises `InvalidImageError` if a picture is missing or cannot be decoded.
    """
    rows = []
    for start in range(0, len(corpus), block):
        stop = min(start + block, len(corpus))
        rows.append(encoder.encode([corpus.image(i) for i in range(start, stop)]))
        if on_progress is not None:
            on_progress(Progress("encoding images", stop, len(corpus)))
    return np.concatenate(rows)
