"""An index that a collection leaves out is made on first use, kept, and made again when the cache is damaged."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from attribution_core.analyses.memorization.copies import CopyIndex, is_stored
from attribution_core.collection import derived_index
from attribution_core.collection.collection import Collection
from attribution_core.collection.options import COPY_ENCODER
from attribution_core.common.cards import write_card
from attribution_core.common.progress import Progress
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import load_encoder
from attribution_core.errors import CheckpointError
from attribution_core.mapping.heads import Head, MapperKind
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex
from tests.support.fakes import ENCODER, fake_collection, shape_image, shape_rows

ROOT = Path(__file__).resolve().parents[2]
METHOD, COUNT = "brighter red", 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(derived_index, "CACHE", tmp_path / "home/indexes")
    return tmp_path / "home/indexes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection with a second method; `stored/` holds the index that its folder leaves out."""
    collection = fake_collection(tmp_path / "shapes", COUNT)
    weight = np.ones(768, np.float32)
    weight[::3] = 2
    head = Head(weight, np.zeros(768, np.float32))
    features = load_encoder(ENCODER).encode([collection.corpus.image(i) for i in range(COUNT)])
    pair = MapperPair(head, head, ENCODER, MapperKind.CHANNEL)
    method = collection.add_method(METHOD, encoder=ENCODER, features=features, mappers=pair)
    shutil.move(method.index_folder(METHOD), tmp_path / "stored")
    return collection.path


def forbid_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, device: str) -> None:
        raise AssertionError("nothing has to be encoded")

    monkeypatch.setattr(derived_index, "load_encoder", load)


def test_it_is_the_index_that_was_left_out_and_made_once(
    folder: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = sorted(folder.rglob("*"))
    seen: list[Progress] = []
    made = Collection.open(folder, METHOD, seen.append)
    stored = TrainingIndex.load(tmp_path / "stored", ENCODER)
    query = made.mappers.map_query(load_encoder(ENCODER).encode([shape_image(7), shape_image(99)]))
    given, expected = made.index.search(query, COUNT), stored.search(query, COUNT)
    np.testing.assert_array_equal(given.ids, expected.ids)
    np.testing.assert_array_equal(given.similarity, expected.similarity)
    assert [(step.done, step.total) for step in seen] == [(COUNT, COUNT)]
    assert "making an index of 40 training images" in caplog.text and "100 % of the images" in caplog.text
    assert made.index_folder(METHOD).parent == cache and sorted(folder.rglob("*")) == before
    assert not list(cache.glob("*.part"))

    forbid_encoding(monkeypatch)
    assert len(Collection.open(folder, METHOD).index) == COUNT


@pytest.mark.parametrize("damage", ["shorter", "missing", "no card"])
def test_a_damaged_one_is_made_again(folder: Path, cache: Path, damage: str) -> None:
    place = Collection.open(folder, METHOD).index_folder(METHOD)
    file = place / ("card.json" if damage == "no card" else "index.safetensors")
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(whole[: len(whole) // 2])
    assert len(Collection.open(folder, METHOD).index) == COUNT
    assert file.read_bytes() == whole


def test_what_a_killed_run_left_is_in_nobodys_way(folder: Path, cache: Path) -> None:
    place = Collection.open(folder, METHOD).index_folder(METHOD)
    place.rename(place.with_suffix(".part"))
    assert len(Collection.open(folder, METHOD).index) == COUNT
    assert sorted(path.name for path in cache.iterdir()) == [place.name, f"{place.name}.lock"]


def test_other_images_or_mappers_have_an_index_of_their_own(folder: Path, cache: Path) -> None:
    first = Collection.open(folder, METHOD).index_folder(METHOD)
    MapperPair.identity(768, ENCODER).save(folder / "methods" / METHOD / "mappers")
    second = Collection.open(folder, METHOD).index_folder(METHOD)
    Corpus.write(folder / "corpus/train-core.parquet", shape_rows(COUNT + 1)[1:])
    third = Collection.open(folder, METHOD).index_folder(METHOD)
    assert len({first, second, third}) == 3 and all(place.is_dir() for place in (first, second, third))


def test_without_a_place_to_keep_it_the_method_works_all_the_same(
    folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.parent.write_text("a file, where a folder should be")
    assert len(Collection.open(folder, METHOD).index) == COUNT
    assert "an index is not kept" in caplog.text


def test_a_full_disk_costs_the_cache_and_not_the_answer(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def save(index: TrainingIndex, directory: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TrainingIndex, "save", save)
    collection = Collection.open(folder, METHOD)
    assert len(collection.index) == COUNT and not collection.index_folder(METHOD).exists()
    assert "No space left on device" in caplog.text


def test_the_collections_own_index_is_never_made_up(folder: Path, cache: Path) -> None:
    shutil.rmtree(folder / "index")
    with pytest.raises(CheckpointError, match="index"):
        Collection.open(folder)


def test_copies_are_told_through_it(folder: Path, cache: Path) -> None:
    MapperPair.identity(768, ENCODER).save(folder / "methods" / METHOD / "mappers")
    shutil.rmtree(folder / "mappers")
    weight = np.full(768, 2, np.float32)
    head = Head(weight, np.zeros(768, np.float32))
    MapperPair(head, head, ENCODER, MapperKind.CHANNEL).save(folder / "mappers")
    write_card(folder, {**Collection.open(folder).card, COPY_ENCODER: ENCODER})
    collection = Collection.open(folder)
    assert not is_stored(collection)
    seen: list[Progress] = []
    assert CopyIndex.open(collection, on_progress=seen.append).search([shape_image(3)], 1)[
        0
    ].ids.tolist() == [3]
    assert seen and is_stored(collection)


SLOW = """
import sys, time
from attribution_core.collection import collection, derived_index
encode = derived_index.encode_corpus
def slowly(*arguments):
    time.sleep(2)
    return encode(*arguments)
derived_index.encode_corpus = slowly
print(len(collection.Collection.open(sys.argv[1], sys.argv[2]).index))
"""


def test_of_two_processes_one_makes_it(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SLOW, str(folder), METHOD],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [out.strip() for out, _ in outputs] == [str(COUNT)] * 2, outputs
    assert sum(err.count("making an index") for _, err in outputs) == 1


def test_the_log_says_nothing_where_the_index_is_there(
    folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Collection.open(folder, METHOD)
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "attribution_explorer"):
        Collection.open(folder, METHOD)
    assert caplog.text == ""
