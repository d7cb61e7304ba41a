"""Whether shares of influence mean anything for an image: its recipe names the collection's generator, or its owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.origin import MadeBy, made_by
from attribution_core.collection.collection import Collection
from attribution_core.generation import weights
from attribution_core.generation.generator import Generator
from attribution_core.generation.recipe import Recipe
from tests.support.fakes import fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("origin") / "shapes"
    fake_collection(folder, n=30)
    make_pocket_like(folder / "generator")
    return Collection.open(folder)


def test_a_recipe_of_the_collections_generator_is_believed_and_no_other(collection: Collection) -> None:
    assert collection.generator_path is not None
    own = Generator.open(collection.generator_path).sha256
    assert made_by(Recipe("a", generator_sha256=own), collection) is MadeBy.THIS_GENERATOR
    for recipe in (
        None,
        Recipe("a"),
        Recipe("a", generator_sha256="0" * 64),
        Recipe("a", generator_sha256=own[:12]),
    ):
        assert made_by(recipe, collection) is MadeBy.UNKNOWN
        assert made_by(recipe, collection, said_so=True) is MadeBy.SAID_SO
    assert made_by(Recipe("a", generator_sha256=own), collection, said_so=True) is MadeBy.THIS_GENERATOR


def test_the_weights_are_read_once_and_again_only_when_they_change(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert collection.generator_path is not None
    own, read = Generator.open(collection.generator_path).sha256, []
    sha256 = weights.sha256_file
    monkeypatch.setattr(weights, "sha256_file", lambda path: read.append(path) or sha256(path))
    for _ in range(2):
        assert made_by(Recipe("a", generator_sha256=own), collection) is MadeBy.THIS_GENERATOR
    assert read == []
    changed = next(collection.generator_path.rglob("*.safetensors"))
    before = changed.read_bytes()
    changed.write_bytes(before + b" ")
    assert made_by(Recipe("a", generator_sha256=own), collection) is MadeBy.UNKNOWN
    assert changed in read
    changed.write_bytes(before)
    assert made_by(Recipe("a", generator_sha256=own), collection) is MadeBy.THIS_GENERATOR


def test_without_a_generator_only_the_owners_word_counts(tmp_path: Path) -> None:
    bare = fake_collection(tmp_path / "shapes", n=30)
    assert made_by(Recipe("a", generator_sha256="0" * 64), bare) is MadeBy.UNKNOWN
    assert made_by(None, bare, said_so=True) is MadeBy.SAID_SO


def test_the_answer_carries_it_and_its_numbers_stay(collection: Collection) -> None:
    attributor = Attributor(collection)
    plain = attributor.attribute(shape_image(3), 5)
    said = attributor.attribute(shape_image(3), 5, made_by=MadeBy.SAID_SO)
    assert (plain.made_by, plain.has_shares, said.has_shares) == (MadeBy.UNKNOWN, False, True)
    assert said.to_dict() == plain.to_dict() | {"made_by": "said so"}
    assert said.head(2).made_by is said.at_temperature(0.1).made_by is MadeBy.SAID_SO
