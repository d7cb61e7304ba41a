"""The search by meaning: which method of a collection it goes through, and what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attribution_core.analyses.word_search import WordSearch, method_with_text
from attribution_core.collection.collection import Collection
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import load_encoder
from attribution_core.encoding.text import TextEncoder
from attribution_core.errors import CollectionMismatchError
from attribution_core.mapping.heads import Head
from attribution_core.mapping.pair import MapperPair
from attribution_core.settings import Settings
from tests.support.fakes import fake_collection, shape_image, shape_rows


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Drawings that ship, by pocket-clip without mappers: rabbits and houses."""
    source = Corpus.open(Settings().collection / "corpus")
    captions = source.column("short_caption")
    chosen = [k for thing in ("rabbit", "house") for k, c in enumerate(captions) if c.startswith(f"{thing},")]
    folder = tmp_path_factory.mktemp("words") / "drawings"
    rows = [{"id": str(k), "image": {"bytes": source.image_bytes(k), "path": ""}} for k in chosen]
    Corpus.write(folder / "corpus/train-0.parquet", rows)  # without captions
    features = load_encoder("pocket-clip", "cpu").encode([source.image(k) for k in chosen])
    return Collection.create(folder, name="Two things", encoder="pocket-clip", features=features)


def test_what_words_mean_is_found_without_any_caption(drawings: Collection) -> None:
    captions = Corpus.open(Settings().collection / "corpus").column("short_caption")
    things = [captions[int(name)].split(",")[0] for name in drawings.corpus.column("id")]
    search = WordSearch(drawings)
    for word, thing in (("bunny", "rabbit"), ("home", "house")):
        assert {things[k] for k in search.nearest(word, 3)} == {thing}
    assert sorted(search.nearest("bunny", 10**6)) == list(range(len(things))), "each once, and no more"


def test_the_method_without_mappers_is_searched(tmp_path: Path) -> None:
    folder, images = tmp_path / "shapes", [shape_image(k) for k in range(12)]
    Corpus.write(folder / "corpus/train-0.parquet", shape_rows(12))
    features = load_encoder("pocket-clip", "cpu").encode(images)
    head = Head(np.eye(256, dtype=np.float32), np.ones(256, dtype=np.float32))
    mapped = MapperPair(head, head, "pocket-clip", "linear")
    made = Collection.create(folder, name="S", encoder="pocket-clip", features=features, mappers=mapped)
    assert method_with_text(made) == made.methods[0], "rather than none"
    made.add_method("plain", encoder="pocket-clip", features=features)
    assert method_with_text(made) == "plain"


def test_without_a_text_side_there_is_no_method_and_another_encoders_text_is_refused(tmp_path: Path) -> None:
    shapes = fake_collection(tmp_path / "shapes", 12)
    assert method_with_text(shapes) is None
    stranger = TextEncoder("pocket-clip", 256, lambda texts: np.ones((len(texts), 256), dtype=np.float32))
    with pytest.raises(CollectionMismatchError, match="texts are encoded by 'pocket-clip'"):
        WordSearch(shapes, stranger)
