"""The recipe of the stored drawing: it learns from a held-out one, and writes what the reader reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import InvalidInputError
from attribution_core.evidence.learned import LearnedDrawing
from attribution_core.generation.generator import Generator
from pocket.evidence.learned import learned_from, write
from tests.support.fakes import fake_collection, shape_image, shape_rows, webp
from tests.support.tiny_pipeline import make_pocket_like


def test_it_writes_what_the_reader_reads(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=60)
    rows = [{**row, "image": {"bytes": webp(shape_image(500)), "path": ""}} for row in shape_rows(1)]
    Corpus.write(collection.path / "corpus/exemplars-core.parquet", rows)
    generator = Generator.open(make_pocket_like(tmp_path / "generator"), "cpu")
    held_out = Corpus.open(collection.path / "corpus", split="exemplars")
    learned = learned_from(collection, generator, held_out.credit(0).id, steps=2)
    write(collection.path / "evidence/learned", learned)
    known = LearnedDrawing.open(collection.path)
    assert known is not None and (known.steps, known.candidates) == (2, 61)
    assert (known.creator, known.licence) == (held_out.credit(0).creator, held_out.credit(0).licence)
    for pair, drawn in zip(known.pairs, learned.result.pairs, strict=True):
        assert "V*" not in pair.prompt
        assert pair.without.tobytes() == drawn.without.tobytes()
        assert pair.learned.tobytes() == drawn.learned.tobytes()
        assert (pair.rank_without, pair.rank_learned) == (drawn.before.best.rank, drawn.after.best.rank)
    with pytest.raises(InvalidInputError, match="no held-out drawing"):
        learned_from(collection, generator, "elsewhere")
