"""The tab Training set without a browser: what is found, what is alike, and whether a picture is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.origin import MadeBy
from attribution_core.corpus.search import Wanted
from attribution_core.errors import InvalidInputError
from attribution_core.settings import Settings
from tests.support.fakes import copying_collection, fake_collection, shape_image
from ui.services.app import Services
from ui.services.training_set import TrainingSetServices


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> TrainingSetServices:
    folder = tmp_path_factory.mktemp("set") / "shapes"
    copying_collection(folder, 60)
    return TrainingSetServices(Services.open(Settings(collection=folder)))


def test_more_like_an_image_begins_with_it_and_names_each_once(asked: TrainingSetServices) -> None:
    like = asked.find(Wanted(), 7)
    assert like[0] == 7 and len(set(like.tolist())) == len(like) == 60
    rows = Attributor(asked.services.collection).embed([asked.services.collection.corpus.image(7)])
    assert like[1] in asked.services.collection.index.nearest(rows, 2).ids[0]


@pytest.mark.parametrize("like", [-1, 60, 10**12])
def test_a_place_outside_is_refused(asked: TrainingSetServices, like: int) -> None:
    with pytest.raises(InvalidInputError, match="no training image"):
        asked.find(Wanted(), like)


def test_a_training_image_is_found_as_the_same_and_a_stranger_is_not(asked: TrainingSetServices) -> None:
    own = asked.presence(asked.services.collection.corpus.image(7))
    assert (own.kind, own.ids[0]) == ("same", 7) and own.words.startswith("Yes")
    assert asked.presence(shape_image(5001)).words


def test_a_collection_without_copy_encoder_claims_no_copy(tmp_path: Path) -> None:
    fake_collection(tmp_path / "shapes", n=30)
    asked = TrainingSetServices(Services.open(Settings(collection=tmp_path / "shapes")))
    found = asked.presence(asked.services.collection.corpus.image(3))
    assert (found.kind, found.ids[0]) == ("similar", 3)


def test_a_maker_has_a_count_and_a_share_of_the_visit(asked: TrainingSetServices) -> None:
    assert asked.maker_words("Ada", []) == "Ada: 20 of 60 training images."
    attributor = asked.services.attributor()
    result = attributor.attribute(shape_image(0), 60, made_by=MadeBy.SAID_SO)
    unknown = attributor.attribute(shape_image(1), 60)
    assert "of the influence on the image of this visit" in asked.maker_words("Ada", [unknown, result])
    assert asked.maker_words("Ada", [unknown]) == asked.maker_words("Ada", []), "that has no shares"
