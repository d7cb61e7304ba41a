"""Parquet corpora: what is written is read, `datasets` opens it, and bad ones say what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit
from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError
from tests.support.fakes import shape_image, shape_rows


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    rows = shape_rows(7)
    Corpus.write(tmp_path / "train-b.parquet", rows[4:])
    Corpus.write(tmp_path / "train-a.parquet", rows[:4])
    return Corpus.open(tmp_path)


def test_files_are_joined_in_the_order_of_their_names(corpus: Corpus) -> None:
    assert corpus.column("id") == [f"shape/{i:04d}" for i in range(7)]
    assert len(corpus) == 7


def test_images_and_credits_come_back_as_written(corpus: Corpus) -> None:
    for i in range(7):
        assert np.array_equal(np.asarray(corpus.image(i)), np.asarray(shape_image(i)))
    assert corpus.credit(1) == Credit(
        "shape/0001",
        "green circle, flat style",
        "green circle",
        "green circle",
        "flat",
        "Ben",
        "tests",
        "CC0-1.0",
        "https://example.org/1",
        64,
        64,
    )
    assert [c.creator for c in corpus.credits([2, 0])] == ["Cleo", "Ada"]


def test_columns_that_are_missing_are_empty(tmp_path: Path, corpus: Corpus) -> None:
    assert corpus.column("planted") == [""] * 7
    image = [{"bytes": b"x", "path": "p"}]
    pq.write_table(pa.table({"image": image, "caption": ["only this"]}), tmp_path / "train-z.parquet")
    bare = Corpus.open(tmp_path)
    assert bare.credit(7) == Credit(caption="only this")
    assert bare.column("held_out")[7] == ""


@pytest.mark.parametrize("position", [-1, 7])
def test_positions_outside_are_errors(corpus: Corpus, position: int) -> None:
    for call in (corpus.credit, corpus.image, corpus.image_bytes):
        with pytest.raises(InvalidInputError, match="0 to 6"):
            call(position)


def test_bad_corpora_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"train-\*.parquet"):
        Corpus.open(tmp_path / "nowhere")
    (tmp_path / "train-a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Corpus.open(tmp_path)
    pq.write_table(pa.table({"caption": ["a"]}), tmp_path / "train-a.parquet")
    with pytest.raises(CheckpointError, match="no column 'image'"):
        Corpus.open(tmp_path)
    pq.write_table(
        pa.table({"image": [{"bytes": b"junk", "path": ""}, {"bytes": None, "path": "x.png"}]}),
        tmp_path / "train-a.parquet",
    )
    broken = Corpus.open(tmp_path)
    with pytest.raises(InvalidImageError, match="cannot be decoded"):
        broken.image(0)
    with pytest.raises(InvalidImageError, match="no bytes"):
        broken.image(1)


def test_unknown_columns_are_refused_and_nothing_is_written(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(InvalidInputError, match="artist"):
        Corpus.write(tmp_path / "new.parquet", [{"id": "a", "artist": "b"}])
    assert not (tmp_path / "new.parquet").exists()
    with pytest.raises(InvalidInputError, match="artist"):
        corpus.column("artist")


def test_datasets_decodes_the_images(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    Corpus.write(tmp_path / "train-a.parquet", shape_rows(3))
    opened = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "train-a.parquet"), split="train", streaming=True
    )
    rows = list(opened)
    assert [r["id"] for r in rows] == ["shape/0000", "shape/0001", "shape/0002"]
    assert np.array_equal(np.asarray(rows[2]["image"]), np.asarray(shape_image(2)))


def test_words_that_no_caption_has_are_named_in_order(corpus: Corpus) -> None:
    assert corpus.unsaid("A lighthouse with green circles under the MOON, flat style") == (
        "lighthouse",
        "moon",
    )
    assert corpus.unsaid("green circle, flat style") == () == corpus.unsaid("") == corpus.unsaid("42 ab !?")


def test_without_captions_nothing_is_said_of_words(tmp_path: Path) -> None:
    Corpus.write(tmp_path / "train-a.parquet", [{"id": "a", "image": None}])
    assert Corpus.open(tmp_path).unsaid("a lighthouse") == ()
