"""Collections: parts that do not belong together, damage, and another method."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card, write_card
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import load_encoder
from attribution_core.errors import (
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
    UnknownNameError,
)
from attribution_core.mapping.heads import Head, MapperKind
from attribution_core.mapping.pair import MapperPair
from attribution_core.scoring.calibrator import Calibrator
from tests.support.fakes import ENCODER, fake_collection, shape_image, shape_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_collection(tmp_path_factory.mktemp("shapes") / "collection").path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.parametrize("part", ["mappers", "index", "calibrator"])
def test_parts_of_another_encoder_are_refused(copy: Path, part: str) -> None:
    write_card(copy / part, {**read_card(copy / part), "encoder": "clip-vit-b32"})
    with pytest.raises(CollectionMismatchError, match="clip-vit-b32"):
        Collection.open(copy)


def test_a_corpus_of_another_size_is_refused(copy: Path) -> None:
    Corpus.write(copy / "corpus/train-core.parquet", shape_rows(199))
    with pytest.raises(CollectionMismatchError, match="199 images in the corpus, 200 in the index"):
        Collection.open(copy)
    with pytest.raises(CollectionMismatchError, match="200 feature rows for 199"):
        Collection.create(copy, name="x", encoder=ENCODER, features=np.ones((200, 768), np.float32))


def test_the_dataclass_itself_refuses_parts_that_differ(folder: Path) -> None:
    collection = Collection.open(folder)
    with pytest.raises(CollectionMismatchError, match="build the mappers again"):
        dataclasses.replace(collection, encoder_name="sscd")


def test_missing_and_damaged_folders_are_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        Collection.open(tmp_path / "nowhere")
    with (copy / "index/index.faiss").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(CheckpointError, match="differs from its card"):
        Collection.open(copy)


def test_another_method_attributes_the_same_images_in_its_own_way(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=40)
    assert collection.methods == ("own",) and collection.method == "own"
    features = load_encoder(ENCODER).encode([collection.corpus.image(i) for i in range(40)])
    # A head that only reads the first row of pixels.
    weight = np.zeros(768, np.float32)
    weight[:48] = 1
    head = Head(weight, np.zeros(768, np.float32))
    other = collection.add_method(
        "first row, only",
        encoder=ENCODER,
        features=features,
        mappers=MapperPair(head, head, ENCODER, MapperKind.CHANNEL),
        calibrator=Calibrator.from_temperature(0.5, ENCODER),
    )
    assert other.methods == ("own", "first row, only") and other.method == "first row, only"
    assert Collection.open(collection.path).method == "own"
    results = [
        Attributor(Collection.open(collection.path, name)).attribute(shape_image(3), top=40)
        for name in other.methods
    ]
    assert [r.temperature for r in results] == [0.02, 0.5]
    assert results[0].ids[0] == 3 and results[0].similarity[1] < results[1].similarity[1]
    with pytest.raises(UnknownNameError, match="first row, only"):
        Collection.open(collection.path, "first row only")
    for name in ("own", "", "../up", "a/b", " x"):
        with pytest.raises(InvalidInputError, match="give another"):
            collection.add_method(name, encoder=ENCODER, features=features)
    with pytest.raises(CollectionMismatchError, match="39 feature rows for 40"):
        collection.add_method("short", encoder=ENCODER, features=features[1:])
    assert Collection.open(collection.path).methods == other.methods
