"""What the tab Compare says, without a browser: shares only of images that a model of the collection made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attribution_core.settings import Settings
from tests.support.fakes import fake_collection, shape_image
from ui.services.app import Query, Services
from ui.tabs.compare import Side, _compared, _drawn, _tiles, _words


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return Services.open(
        Settings(collection=fake_collection(tmp_path_factory.mktemp("c") / "shapes", 60).path)
    )


def side(services: Services, query: Query) -> Side:
    return Side(services, query, services.collection.method, services.attribute(query))


def said(left: Side, right: Side) -> str:
    """All words of a comparison."""
    both = _compared(left, right, 5)
    drawn = [_drawn(both, one, which) for which, one in enumerate((left, right))]
    captions = [caption for _, gallery in drawn for _, caption in gallery["value"]]
    return " ".join(
        [_words(both, left, right), *(words for words, _ in drawn), *captions, _first_place(_tiles(both))]
    )


def _first_place(tiles: str) -> str:
    return tiles[tiles.index("First place") :]


def test_an_image_of_unknown_making_is_compared_by_similarity(services: Services) -> None:
    query = Query(shape_image(7), "seven")
    alike = said(side(services, query), side(services, query))
    assert "%" not in alike and "influence" not in alike
    assert "No shares, because" in alike and "equal similarities" in alike
    first = services.attribute(query)
    assert f"{first.similarity[0]:.2f} · {first.credits[0].description}" in alike


def test_shares_come_with_the_visitors_word(services: Services, tmp_path: Path) -> None:
    query = Query(shape_image(7), "seven", said_so=True)
    shared = said(side(services, query), side(services, query))
    assert (
        "of the influence" in shared
        and f"% · {services.attribute(query).credits[0].description}" in shared
        and "No shares" not in shared
    )
    one = said(side(services, query), side(services, replace(query, said_so=False)))
    assert "of the influence" in one and "No shares, because" in one
