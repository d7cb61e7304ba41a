"""The tour without a browser: its stops are chosen by rule from the collection's files, and fit on a handout."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribution_core.attribution.finding import named_share
from attribution_core.errors import InvalidInputError
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.handout import Stop, handout_page
from attribution_core.reports.section import Picture
from attribution_core.settings import Settings
from tests.support.fakes import copying_collection, fake_evidence, shape_image
from tests.support.tiny_pipeline import make_pocket_like, save_example
from ui.services.app import Services
from ui.services.memorization import MemorizationServices
from ui.services.tour import CONVINCING, FAILURE, MEMORIZED, TourServices
from ui.tabs.tour import _tour_at
from ui.widgets.tour_html import stop_html


def tour_of(services: Services) -> TourServices:
    return TourServices(MemorizationServices(services))


@pytest.fixture(scope="module")
def pocket() -> Services:
    return Services.open(Settings(port=0))


@pytest.fixture(scope="module")
def pocket_tour(pocket: Services) -> TourServices:
    return tour_of(pocket)


@pytest.fixture
def shapes(tmp_path: Path) -> Services:
    """Shapes with examples and evidence, and no planted captions."""
    collection = copying_collection(tmp_path / "shapes", 60)
    make_pocket_like(collection.path / "generator")
    for k in (11, 12):
        save_example(collection.path, f"{k}.png", shape_image(k), Recipe(f"shape {k}"))
    fake_evidence(collection)
    return Services.open(Settings(port=0, collection=collection.path))


def test_the_convincing_case_is_an_example_whose_prompt_names_its_sources(
    pocket: Services, pocket_tour: TourServices
) -> None:
    stop = pocket_tour.stop(CONVINCING)
    assert stop is not None and len(stop.pictures) == 5
    found = {query.title: pocket.attribute(query) for query in pocket.examples}
    chosen = next(title for title in found if f"“{title}”" in stop.words)
    rank = {title: (r.stands_out, named_share(r, title)) for title, r in found.items()}
    assert rank[chosen] == max(rank.values())


def test_the_failure_is_a_test_image_whose_source_we_miss(
    pocket: Services, pocket_tour: TourServices
) -> None:
    stop, evidence = pocket_tour.stop(FAILURE), pocket.evidence
    assert stop is not None and evidence is not None and len(stop.pictures) == 3
    case, own = evidence.cases[0], str(evidence.stored["own"])
    drawn = {paths[0]: m for m in evidence.models(case)[:12] for paths in list(m.made.values())[:1]}
    pixels = np.asarray(stop.pictures[0].image)
    path = next(p for p in drawn if np.array_equal(np.asarray(evidence.images[p]), pixels))
    result = pocket.attribute_known(path, drawn[path], own, len(pocket.collection.index))
    rank = int(np.flatnonzero(result.ids >= len(pocket.collection.index))[0]) + 1
    assert rank > 10 and re.search(r"came first in \d+%, and among the first 10 in \d+%", stop.words)


def test_the_memorized_picture_is_drawn_on_the_spot_and_is_a_copy(
    pocket: Services, pocket_tour: TourServices
) -> None:
    stop = pocket_tour.stop(MEMORIZED)
    assert stop is not None and pocket_tour.stop(MEMORIZED) is stop, "it is computed once"
    drawn, original = (picture.image for picture in stop.pictures)
    verdict = pocket.copies.check(drawn)
    assert verdict.is_copy
    assert pocket.collection.corpus.column("planted")[int(verdict.ids[0])] == "planted"
    assert np.array_equal(
        np.asarray(original), np.asarray(pocket.collection.corpus.image(int(verdict.ids[0])))
    )


def test_a_collection_has_the_stops_that_its_files_allow(shapes: Services, tmp_path: Path) -> None:
    tour = tour_of(shapes)
    assert tour.kinds == (CONVINCING, FAILURE)
    first = tour.stop(CONVINCING)
    assert first is not None and "add up to 100%" in first.words
    bare = copying_collection(tmp_path / "bare", 24)
    assert tour_of(Services.open(Settings(port=0, collection=bare.path))).kinds == ()


def test_where_nothing_is_missed_there_is_no_failure_to_show(
    shapes: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.services.tour._NAMED", len(shapes.collection.index) + 1)
    assert tour_of(shapes).stop(FAILURE) is None
    assert "Nothing was found" in stop_html(None)


def test_how_we_know_is_said_in_plain_words(pocket_tour: TourServices) -> None:
    for stop in map(pocket_tour.stop, pocket_tour.kinds):
        assert stop is not None and not re.search("softmax|cosine|temperature|/", stop.how)


def test_a_handout_says_when_and_where_it_was_made() -> None:
    stop = Stop("It works", "Title", "words", (), "how")
    day, address = datetime.date(2026, 11, 3), _tour_at("https://explorer.example/?tour=3&prompt=x#top")
    page = handout_page("Pocket", "about", [stop], address=address, made=day)
    assert 'Made on 3 November 2026 at <a href="https://explorer.example/?tour"' in page
    assert _tour_at(None) == "" and "Made on 3 November 2026." in handout_page("c", "a", [stop], made=day)


def test_page_and_handout_say_the_same_and_escape_what_they_show() -> None:
    picture = Picture(Image.new("RGB", (8, 8)), "<i>caption</i>")
    stop = Stop("It works", "<b>Title</b>", "<script>words</script>", (picture,), "<u>how</u>")
    for page in (
        stop_html(stop),
        handout_page("<c>", "<a>about</a>", [stop, replace(stop, kind="It fails")]),
    ):
        assert "<script" not in page and "<b>Title" not in page and "<u>how" not in page
        for text in ("Title", "words", "caption", "how"):
            assert f"&gt;{text}" in page
        assert "data:image/png" in page
    with pytest.raises(InvalidInputError, match="nothing to show"):
        handout_page("c", "about", [])
