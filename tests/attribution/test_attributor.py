"""The attributor, end to end on drawings of shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.attribution.origin import MadeBy
from attribution_core.collection.build import build_collection
from attribution_core.collection.collection import Collection
from attribution_core.corpus.credit import Credit
from attribution_core.encoding.encoders import load_encoder
from attribution_core.errors import (
    CollectionMismatchError,
    InvalidImageError,
    InvalidInputError,
    NotFittedError,
    UnknownNameError,
)
from tests.support.fakes import ENCODER, fake_collection, shape_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_collection(tmp_path_factory.mktemp("shapes") / "collection").path


def test_a_training_image_is_credited_to_itself(folder: Path) -> None:
    attributor = Attributor(Collection.open(folder))
    for i in (0, 17, 199):
        result = attributor.attribute(shape_image(i), top=5)
        assert result.ids[0] == i
        assert result.similarity[0] == pytest.approx(1.0, abs=1e-6)
        assert result.credits[0].id == f"shape/{i:04d}"


def test_influences_equal_a_plain_softmax_over_all_images(folder: Path) -> None:
    collection = Collection.open(folder)
    result = Attributor(collection).attribute(shape_image(1234), top=20)
    encoder = load_encoder(ENCODER)
    train = encoder.encode([collection.corpus.image(i) for i in range(200)]).astype(np.float64)
    query = encoder.encode([shape_image(1234)])[0].astype(np.float64)
    cosine = train @ query / np.linalg.norm(train, axis=1) / np.linalg.norm(query)
    for temperature, got in ((0.02, result.influence), (1.0, result.uncalibrated)):
        weight = np.exp((cosine - cosine.max()) / temperature)
        expected = weight / weight.sum()
        assert got == pytest.approx(expected[result.ids], rel=1e-3)
    assert result.influence.sum() + result.rest == pytest.approx(1.0, abs=1e-9)
    assert (result.influence_low <= result.influence + 1e-12).all()
    assert (result.influence <= result.influence_high + 1e-12).all()


def test_several_images_at_once_get_what_each_gets_alone(folder: Path) -> None:
    attributor = Attributor(Collection.open(folder))
    images = [shape_image(i) for i in (3, 1234, 17)]
    origins = [MadeBy.SAID_SO, MadeBy.UNKNOWN, MadeBy.THIS_GENERATOR]
    for result, image, origin in zip(
        attributor.attribute_all(images, 5, 0.05, origins), images, origins, strict=True
    ):
        alone = attributor.attribute(image, 5, 0.05, made_by=origin)
        assert result.ids.tolist() == alone.ids.tolist() and result.credits == alone.credits
        assert result.influence == pytest.approx(alone.influence, rel=1e-4)
        assert result.rest_low <= result.rest <= result.rest_high
        assert (result.made_by, result.temperature, result.n_training) == (origin, 0.05, 200)
    assert attributor.attribute_all([]) == []
    with pytest.raises(InvalidInputError, match="2 origins are given for 3 images"):
        attributor.attribute_all(images, made_by=origins[:2])


def test_more_than_there_are_lists_all(folder: Path) -> None:
    result = Attributor(Collection.open(folder)).attribute(shape_image(3), top=5000)
    assert sorted(result.ids) == list(range(200))
    assert result.rest == pytest.approx(0.0, abs=1e-12)


def test_json_has_the_keys_of_the_contract(folder: Path) -> None:
    loaded = json.loads(Attributor(Collection.open(folder)).attribute(shape_image(3), top=2).to_json())
    assert list(loaded) == [
        "collection",
        "encoder",
        "n_training",
        "temperature",
        "rest",
        "rest_low",
        "rest_high",
        "made_by",
        "top",
    ]
    assert list(loaded["top"][0]) == [
        "rank",
        "id",
        "similarity",
        "influence",
        "low",
        "high",
        "uncalibrated",
        "caption",
        "creator",
        "source",
        "licence",
        "link",
        "opted_out",
    ]
    assert (loaded["collection"], loaded["n_training"], loaded["temperature"]) == ("Shapes", 200, 0.02)


def test_bad_queries_are_refused(folder: Path, tmp_path: Path) -> None:
    attributor = Attributor(Collection.open(folder))
    with pytest.raises(InvalidInputError, match="at least 1"):
        attributor.attribute(shape_image(1), top=0)
    with pytest.raises(InvalidImageError):
        attributor.attribute(tmp_path / "none.png")
    with pytest.raises(InvalidInputError, match="temperature"):
        attributor.attribute(shape_image(1), temperature=-1.0)


def test_a_query_without_direction_is_refused(folder: Path) -> None:
    attributor = Attributor(Collection.open(folder))
    attributor.__dict__["encoder"] = ZeroEncoder()
    with pytest.raises(InvalidInputError, match="no direction"):
        attributor.attribute(shape_image(1))


class ZeroEncoder:
    """Gives a feature of length 0."""

    def encode(self, images: list[Image.Image]) -> np.ndarray:
        return np.zeros((len(images), 768), np.float32)


def test_without_a_calibrator_a_temperature_is_needed(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "c", n=20, temperature=None)
    with pytest.raises(NotFittedError, match="--temperature"):
        Attributor(collection).attribute(shape_image(1))
    result = Attributor(collection).attribute(shape_image(1), temperature=0.1)
    assert (result.temperature, result.fitted_temperature) == (0.1, 0.1)


def test_another_temperature_leaves_the_fitted_one_on_record(folder: Path) -> None:
    attributor = Attributor(Collection.open(folder))
    result = attributor.attribute(shape_image(9), temperature=0.5)
    assert (result.temperature, result.fitted_temperature) == (0.5, 0.02)
    back = result.at_temperature(0.02)
    assert back.influence == pytest.approx(attributor.attribute(shape_image(9)).influence, rel=1e-9)


def test_added_images_join_the_candidates_at_their_true_rank(folder: Path) -> None:
    attributor = Attributor(Collection.open(folder))
    query, more = shape_image(1234), [shape_image(1234), shape_image(1301), shape_image(1402)]
    added = [Added(image, Credit(id=f"mine {k}", creator="me")) for k, image in enumerate(more)]
    result = attributor.attribute(query, top=10, added=added)
    assert result.n_training == 203 and len(result) == 13
    assert (
        result.ids[0] == 200
        and result.credits[0].creator == "me"
        and result.similarity[0] == pytest.approx(1)
    )
    # The exact twin: every candidate's similarity and the plain softmax.
    encoder = load_encoder(ENCODER)
    rows = encoder.encode([*(attributor.collection.corpus.image(i) for i in range(200)), *more]).astype(
        np.float64
    )
    asked = encoder.encode([query])[0].astype(np.float64)
    cosine = rows @ asked / np.linalg.norm(rows, axis=1) / np.linalg.norm(asked)
    weight = np.exp((cosine - cosine.max()) / 0.02)
    assert result.influence == pytest.approx((weight / weight.sum())[result.ids], rel=1e-3)
    for place, i in enumerate(result.ids):
        # Equal ones stand before, never behind: rounding lets two of them change places.
        least, most = 1 + (cosine > cosine[i] + 1e-6).sum(), (cosine >= cosine[i] - 1e-6).sum()
        assert least <= result.rank[place] <= most
    assert [t["rank"] for t in result.to_dict()["top"]] == result.rank.tolist()
    assert set(result.ids) >= {200, 201, 202}
    alone = attributor.attribute(query, top=10)
    assert alone.rank.tolist() == list(range(1, 11))
    assert result.influence[list(result.ids).index(alone.ids[0])] < alone.influence[0]


class _Grey:
    """An encoder that is in no table."""

    name, dim = "grey-4", 16

    def encode(self, images: list[Image.Image], batch_size: int | None = None) -> np.ndarray:
        return np.stack(
            [np.asarray(image.convert("L").resize((4, 4)), np.float32).ravel() for image in images]
        )


def test_an_encoder_of_ones_own_is_handed_over(tmp_path: Path) -> None:
    for seed in range(12):
        shape_image(seed).save(_made(tmp_path / "images") / f"{seed}.png")
    collection = build_collection(tmp_path / "images", tmp_path / "grey", loaded=_Grey()).collection
    assert collection.encoder_name == "grey-4"
    result = Attributor(collection, encoder=_Grey()).attribute(shape_image(5), top=3, temperature=0.02)
    assert result.credits[0].id == "5.png" and result.similarity[0] == pytest.approx(1, abs=1e-4)
    with pytest.raises(
        UnknownNameError, match=r"not in the table of encoders; .*Attributor\(collection, encoder="
    ):
        Attributor(collection).attribute(shape_image(5), temperature=0.02)
    other = _Grey()
    other.name = "grey-5"
    with pytest.raises(CollectionMismatchError, match="'grey-4', given 'grey-5'"):
        Attributor(collection, encoder=other)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
