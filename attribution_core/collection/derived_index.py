"""Indexes that a collection's folder leaves out: made from its images on first use, and kept in the user's cache.

The index of another method than the collection's own follows from the corpus, the encoder and the mappers, so that a
collection can be passed on without it. The cache may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from pathlib import Path

from filelock import FileLock

from attribution_core.collection.encode import encode_corpus
from attribution_core.common.cards import CARD_NAME
from attribution_core.common.files import USER_CACHE, make_folder, sha256_file, written_to
from attribution_core.common.progress import OnProgress, Progress
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import ENCODERS, SHIPPED, load_encoder
from attribution_core.errors import CheckpointError, OutputError
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex

CACHE = USER_CACHE / "indexes"
FACTORY = "SQ8x2"
LOG = logging.getLogger("attribution_explorer")


def cached_index(corpus: Path, mappers: Path, encoder: str) -> Path:
    """The folder in `CACHE` for an index, named after checksums of all that it follows from.

    corpus, mappers: their folders. Raises `CheckpointError` where a file of theirs cannot be read.
    """
    files = [*sorted(corpus.glob("train-*.parquet")), mappers / CARD_NAME]
    row = ENCODERS.get(encoder)
    if row is not None:  # a row that holds another one's network has that one's weights
        weights = SHIPPED / ENCODERS.get(row.model, row).weights / CARD_NAME
        files += [weights] if weights.is_file() else []
    facts = [encoder, FACTORY, *(sha256_file(file) for file in files)]
    return CACHE / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def derived_index(
    place: Path, corpus: Corpus, mappers: MapperPair, encoder: str, on_progress: OnProgress | None = None
) -> TrainingIndex:
    """The index in `place`, a folder of `cached_index`; made on the CPU where it is missing or damaged.

    Of several processes one makes it and the others wait. Where the cache cannot be written, it is made for this
    process alone. Raises what `load_encoder` and `encode_corpus` raise.
    """
    if (kept := _kept(place, encoder)) is not None:
        return kept
    lock = FileLock(place.with_suffix(".lock"))
    try:
        make_folder(place.parent)
        with written_to(place):
            lock.acquire()
    except OutputError as error:
        LOG.warning("an index is not kept: %s", error)
        return _make(corpus, mappers, encoder, on_progress)
    try:
        if (kept := _kept(place, encoder)) is not None:  # by whoever held the lock
            return kept
        index = _make(corpus, mappers, encoder, on_progress)
        try:
            _store(index, place)
        except OutputError as error:
            LOG.warning("an index is not kept: %s", error)
        return index
    finally:
        lock.release()


def _kept(place: Path, encoder: str) -> TrainingIndex | None:
    try:
        return TrainingIndex.load(place, encoder)
    except CheckpointError:
        return None


def _make(corpus: Corpus, mappers: MapperPair, encoder: str, on_progress: OnProgress | None) -> TrainingIndex:
    started, quarters = time.monotonic(), 0
    LOG.warning("making an index of %s training images by '%s', once", f"{len(corpus):,}", encoder)

    def report(step: Progress) -> None:
        nonlocal quarters
        if int(4 * step.fraction) > quarters:
            quarters = int(4 * step.fraction)
            LOG.warning("%d %% of the images encoded, %.0f s", 25 * quarters, time.monotonic() - started)
        if on_progress is not None:
            on_progress(step)

    rows = encode_corpus(corpus, load_encoder(encoder, "cpu"), report)
    return TrainingIndex.build(mappers.map_training(rows), FACTORY, encoder)


def _store(index: TrainingIndex, place: Path) -> None:
    """Put a saved index in place whole; the caller holds the lock."""
    part = place.with_suffix(".part")
    with written_to(place):
        for old in (part, place):
            shutil.rmtree(old, ignore_errors=True)
        index.save(part)
        part.rename(place)
