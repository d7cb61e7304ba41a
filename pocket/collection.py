"""Builds the pocket collection's mappers and index: `python -m pocket.collection`."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attribution_core.attribution import Collection
from attribution_core.cards import read_card
from attribution_core.corpus import Corpus
from attribution_core.encoders import load_encoder
from attribution_core.evidence_figures import PRETRAINED

OUT = Path("checkpoints/pocket")
ENCODER = "pocket-clip"  # what found held-out exemplars best (`pocket.calibration`)
OTHERS = ("pocket-sscd", "efficientnet-lite0")  # to choose from beside it


def method_name(encoder: str) -> str:
    """What the collection calls attribution by an encoder as it is."""
    return f"{encoder}, {PRETRAINED}"


def encode_training(corpus: Corpus, name: str) -> NDArray[np.float32]:
    """(n, d) raw features of the training set."""
    start = time.monotonic()
    features = load_encoder(name).encode([corpus.image(i) for i in range(len(corpus))])
    sys.stderr.write(f"{name}: {len(corpus)} images encoded in {time.monotonic() - start:.0f} s\n")
    return features


def build(out: Path = OUT) -> Collection:
    """Encode the training set and write index and card of every method; calibrators of the same encoder are kept."""
    corpus, calibrator = Corpus.open(out / "corpus"), out / "calibrator"
    if calibrator.exists() and read_card(calibrator)["encoder"] != ENCODER:
        shutil.rmtree(calibrator)
    shutil.rmtree(out / "methods", ignore_errors=True)
    collection = Collection.create(
        out, name="Pocket", encoder=ENCODER, features=encode_training(corpus, ENCODER),
        card={"method": method_name(ENCODER),
              "what": f"{len(corpus):,} drawings with captions and credits, a small diffusion model trained on them "
                      "and on nothing else, and everything needed to attribute one to the other.",
              "licence": "Apache-2.0 for index and calibrator; images as in corpus/card.json"})
    for name in OTHERS:
        collection.add_method(method_name(name), encoder=name, features=encode_training(corpus, name))
    return collection


if __name__ == "__main__":
    build()
