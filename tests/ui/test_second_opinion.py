"""What the tab Second opinion asks for, without a browser: streams that stop, and why none is given."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.common.estimates import Estimate
from attribution_core.common.progress import Progress
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.settings import Settings
from tests.support.fakes import fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like
from ui.services.app import Query, Services
from ui.services.second_opinion import SecondOpinionServices
from ui.tabs.second_opinion import _headline, agreement_words


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    folder = tmp_path_factory.mktemp("opinion") / "shapes"
    fake_collection(folder, n=60)
    make_pocket_like(folder / "generator")
    return Services.open(Settings(collection=folder, top=20))


def made(services: Services) -> Query:
    return next(e for e in services.generate("red cat", 3, 4, 2.0) if isinstance(e, Query))


def weights(services: Services) -> str:
    assert services.generator is not None
    state = services.generator.pipeline.unet.state_dict()
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in state.values())).hexdigest()


def test_progress_and_then_both_rankings(services: Services) -> None:
    query, before = made(services), weights(services)
    *steps, told = SecondOpinionServices(services).ask(query, None)
    assert steps and all(isinstance(s, Progress) for s in steps)
    assert isinstance(told, SecondOpinion) and len(told) == 60 and told.listed.sum() == 50
    assert weights(services) == before
    assert "first" in _headline(told) or "not forgotten" in _headline(told)


def test_a_listener_that_leaves_stops_the_work_and_the_generator_is_as_before(services: Services) -> None:
    query, before = made(services), weights(services)
    stream = SecondOpinionServices(services).ask(query, None)
    next(stream)
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "second opinion":
            thread.join(30)
            assert not thread.is_alive()
    assert weights(services) == before


def test_queries_that_cannot_be_judged_say_why(services: Services, tmp_path: Path) -> None:
    asked, query = SecondOpinionServices(services), made(services)
    assert asked.hindrance(query) == "" and query.recipe is not None
    assert "no image yet" in asked.hindrance(None)
    assert "is not known" in asked.hindrance(Query(shape_image(1), "one"))
    assert "another" in asked.hindrance(
        replace(query, recipe=replace(query.recipe, generator_sha256="0" * 64))
    )
    assert "is not known" in asked.hindrance(replace(query, recipe=replace(query.recipe, prompt=" ")))
    with pytest.raises(InvalidInputError, match="no image yet"):
        next(asked.ask(None, None))
    bare = Services.open(Settings(collection=fake_collection(tmp_path / "bare", n=20).path))
    assert "no generator" in SecondOpinionServices(bare).hindrance(query)


def test_what_was_measured_is_read_or_said_to_be_damaged(services: Services) -> None:
    assert SecondOpinionServices(services).measured is None
    path = services.collection.path / "evidence/second_opinion.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"date": "today"}))
    with pytest.raises(CheckpointError, match=r"pocket\.evidence\.second_opinion"):
        _ = SecondOpinionServices(services).measured


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.1, -0.1, 0.3, "no clear agreement"),
        (0.3, 0.1, 0.5, "agree a little"),
        (0.5, 0.3, 0.7, "agree in part"),
        (0.8, 0.7, 0.9, "largely agree"),
        (-0.5, -0.7, -0.2, "rather the reverse"),
    ],
)
def test_a_correlation_in_words(value: float, low: float, high: float, words: str) -> None:
    assert agreement_words(Estimate(value, low, high)) == words
