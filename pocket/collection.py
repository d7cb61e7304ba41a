"""Builds the pocket collection's mappers and index: `python -m pocket.collection`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from attribution_core.attribution import Collection
from attribution_core.corpus import Corpus
from attribution_core.encoders import load_encoder

OUT = Path("checkpoints/pocket")
ENCODER = "efficientnet-lite0"


def build(out: Path = OUT, encoder_name: str = ENCODER) -> Collection:
    """Encode the training set and write index and card; a calibrator that is already there is kept."""
    corpus, encoder = Corpus.open(out / "corpus"), load_encoder(encoder_name)
    start = time.monotonic()
    features = encoder.encode([corpus.image(i) for i in range(len(corpus))])
    sys.stderr.write(f"{len(corpus)} images encoded in {time.monotonic() - start:.0f} s\n")
    return Collection.create(
        out, name="Pocket", encoder=encoder_name, features=features, factory="SQfp16",
        card={"what": f"{len(corpus):,} drawings with captions and credits, a small diffusion model trained on them "
                      "and on nothing else, and everything needed to attribute one to the other.",
              "licence": "Apache-2.0 for index and calibrator; images as in corpus/card.json"})


if __name__ == "__main__":
    build()
