"""The tab Training set without a browser: what is found, what is alike, and whether a picture is in it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attribution_core.analyses.memorization.copies import Threshold
from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.origin import MadeBy
from attribution_core.common.cards import write_card
from attribution_core.corpus.credit import Credit
from attribution_core.corpus.search import Wanted
from attribution_core.errors import InvalidInputError
from attribution_core.settings import Settings
from tests.support.fakes import copying_collection, fake_collection, shape_image
from ui.services.app import Services
from ui.services.place import Place, checked_words
from ui.services.training_set import MEANT, TrainingSetServices
from ui.widgets.facts import credit_facts
from ui.widgets.set_links import alike_link, maker_link, maker_page, objection
from ui.widgets.sheet import sheet


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> TrainingSetServices:
    folder = tmp_path_factory.mktemp("set") / "shapes"
    copying_collection(folder, 60)
    return TrainingSetServices(Services.open(Settings(collection=folder)))


def said(own: TrainingSetServices, **wanted: str) -> str:
    place = Place(Wanted(**wanted))
    return own.words(place, own.find(place), 1)


def test_more_like_an_image_begins_with_it_and_names_each_once(own: TrainingSetServices) -> None:
    place = Place(like="shape/0007")
    like = own.find(place).positions
    assert like[0] == 7 and len(set(like.tolist())) == len(like) == 60
    rows = Attributor(own.services.collection).embed([own.services.collection.corpus.image(7)])
    assert like[1] in own.services.collection.index.nearest(rows, 2).ids[0]
    assert own.words(place, own.find(place), 2).endswith("most similar first. Page 2 of 2.")


@pytest.mark.parametrize("name", ["shape/0060", "7", "x" * 10_000, "\x00", "<b>"])
def test_an_image_that_is_not_there_is_refused_in_a_sentence(own: TrainingSetServices, name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^there is no training image .{0,90}; choose one"):
        own.find(Place(like=name))


@pytest.mark.parametrize(
    ("field", "called"), [("creator", "maker"), ("style", "style"), ("licence", "licence")]
)
def test_a_filter_that_no_image_has_is_refused(own: TrainingSetServices, field: str, called: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^no training image has the {called} 'No body'; choose"):
        own.find(Place(Wanted(**{field: "No\nbody"})))
    with pytest.raises(InvalidInputError, match=rf"has the {called} 'x{{80}}'; choose"):
        own.find(Place(Wanted(**{field: "x" * 10_000})))


def test_what_is_in_sight_is_said(own: TrainingSetServices) -> None:
    assert said(own) == "All 60 training images. Page 1 of 2."
    assert said(own, words="red circle") == "2 of 60 training images fit."
    assert said(own, words="red", creator="Ada") == "3 of 60 training images fit."
    assert said(own, words="xqzzy") == "No caption says “xqzzy”."
    assert said(own, words="red green") == "No training image fits “red green”.", "each is said, not both"


def test_without_a_text_side_an_unknown_word_finds_nothing_but_suggestions(own: TrainingSetServices) -> None:
    assert not own.can_search_by_meaning
    found = own.find(Place(Wanted("cirkle")))
    assert len(found.positions) == 0 and found.unsaid == ("cirkle",) and found.suggestions == ("circle",)


class _Meaning:
    """A search by meaning to which the last images are nearest."""

    def __init__(self, count: int) -> None:
        self.count = count

    def nearest(self, words: str, top: int) -> Any:
        return np.arange(self.count)[::-1][:top]


@pytest.fixture
def with_meaning(own: TrainingSetServices, monkeypatch: pytest.MonkeyPatch) -> TrainingSetServices:
    monkeypatch.setitem(own.services.__dict__, "word_search", _Meaning(60))
    again = TrainingSetServices(own.services)
    again._has_index = True
    return again


def test_captions_that_hold_the_words_come_before_what_is_similar_by_meaning(
    with_meaning: TrainingSetServices,
) -> None:
    place = Place(Wanted("circle"))
    found = with_meaning.find(place)
    held = with_meaning.search.find(Wanted("circle"))
    assert found.positions[: found.said].tolist() == held.tolist()
    others = [k for k in range(59, -1, -1) if k not in set(held.tolist())]
    assert found.positions[found.said :].tolist() == others[:MEANT]
    assert with_meaning.words(place, found, 1) == (
        f"{len(held)} of 60 training images fit. Then come {MEANT} similar in meaning, in dashed frames."
    )


def test_filters_hold_for_what_is_similar_by_meaning_and_no_words_mean_nothing(
    with_meaning: TrainingSetServices,
) -> None:
    found = with_meaning.find(Place(Wanted("xqzzy", creator="Ben")))
    assert (found.positions % 3 == 1).all() and len(found.positions) == 20 and found.said == 0
    assert said(with_meaning, words="xqzzy").startswith("No caption says “xqzzy”. These 24 are similar")
    assert len(found.suggestions) == len(set(found.suggestions)) == 5, "what the nearest show"
    assert with_meaning.find(Place()).said == 60


def test_a_training_image_is_found_as_the_same_and_a_stranger_is_not(own: TrainingSetServices) -> None:
    present = own.presence(own.services.collection.corpus.image(7))
    assert (present.kind, present.ids[0]) == ("same", 7) and present.words.startswith("Yes")
    assert own.presence(shape_image(5001)).words


def test_a_collection_without_copy_encoder_claims_no_copy(tmp_path: Path) -> None:
    fake_collection(tmp_path / "shapes", n=30)
    own = TrainingSetServices(Services.open(Settings(collection=tmp_path / "shapes")))
    found = own.presence(own.services.collection.corpus.image(3))
    assert (found.kind, found.ids[0]) == ("same", 3) and found.words.startswith("Very likely")
    stranger = own.presence(shape_image(5001))
    assert stranger.kind == "similar" and "no encoder that tells copies" in stranger.words


def test_an_image_as_close_to_several_is_called_a_copy_of_none(
    own: TrainingSetServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.services.training_set.threshold_of", lambda name: Threshold(-1.0, 0.9, None, ""))
    found = own.presence(shape_image(5001))
    assert found.kind == "near-duplicate" and "need not be a copy of one" in found.words


def test_a_maker_has_works_licences_and_a_share_of_the_visit(own: TrainingSetServices) -> None:
    ada = own.maker("Ada", [])
    assert (ada.images, ada.works, ada.licences) == (20, 20, (("CC0-1.0", 20),))
    assert ada.link == "https://example.org/0" and ada.part == pytest.approx(1 / 3)
    assert ada.share is None and "no image with shares yet" in maker_page(ada, "")
    attributor = own.services.attributor()
    result = attributor.attribute(shape_image(0), 60, made_by=MadeBy.SAID_SO)
    unknown = attributor.attribute(shape_image(1), 60)
    makers = [own.maker(name, [unknown, result]) for name in ("Ada", "Ben", "Cleo")]
    assert sum(maker.share or 0 for maker in makers) == pytest.approx(1, abs=1e-4), "all images are listed"
    assert "of the influence on 1 image, as far as listed" in maker_page(makers[0], "")
    assert own.maker("Ada", [unknown]) == ada, "that has no shares"


def test_near_duplicates_are_one_work_of_a_maker(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    fake_collection(folder, n=12)
    (folder / "corpus/duplicates.json").write_text('{"sets": [["shape/0000", "shape/0003"]]}')
    ada = TrainingSetServices(Services.open(Settings(collection=folder))).maker("Ada", [])
    assert (ada.images, ada.works) == (4, 3)
    assert "4 images, 3 different works" in maker_page(ada, "")


@pytest.mark.parametrize(
    "place",
    [
        Place(),
        Place(Wanted("a & b=c", "Zoë “Z” #1", "clip art", "CC0-1.0"), page=7),
        Place(like="a/b c?d", image="x&y"),
    ],
)
def test_a_place_is_read_from_its_own_address(place: Place) -> None:
    assert Place.read(place.address()) == Place.read(place.link) == place


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("set-page=two", "^the link's page is 'two', expected a whole number"),
        ("set-page=-1", "^the link's page is '-1'"),
        ("set-page=" + "9" * 30, "^the link's page is '9+', expected"),
        ("set-page=%C2%B2", "^the link's page is '²'"),
        ("words=" + "x" * 10_000, "^the link has 10,006 characters"),
        ("words=" + "x" * 300, "^the search has 300 characters, at most 200"),
        ("a=1&" * 100, "^the link names too many things"),
    ],
)
def test_a_link_made_by_hand_is_refused_in_a_sentence(address: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        Place.read(address)


def test_words_are_put_on_one_line_and_bounded() -> None:
    assert checked_words(None) == checked_words(" \n\x00 ") == ""
    assert checked_words("a\x00b\u202ec\n d") == "a b c d"
    with pytest.raises(InvalidInputError, match="10,000 characters, at most 200 are read; name one thing"):
        checked_words("x" * 10_000)
    assert Place.read("set-page=0").page == 1 and Place.read("words=a&words=b").wanted.words == "a"


def test_the_card_names_whom_to_write_to(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=12)
    write_card(collection.path, {**collection.card, "contact": "art@example.org\n"})
    own = TrainingSetServices(Services.open(Settings(collection=collection.path)))
    assert 'href="mailto:art@example.org"' in objection(own.contact())
    assert 'href="https://example.org/object"' in objection("https://example.org/object")
    assert "<script>" not in objection("<script>") and "href" not in objection("javascript:alert(1)")
    assert "gave no address to write to" in objection("")


def test_names_from_outside_stay_text_in_links_and_on_the_sheet() -> None:
    nasty = '"><script>alert(1)</script>&maker=x'
    credit = Credit(id=nasty, caption=nasty, creator=nasty)
    for shown in (maker_link(nasty), alike_link(credit), sheet(credit, "data:,", stored=True)):
        assert "<script" not in shown and 'href="?tab=training-set&amp;' in shown
    href = maker_link(nasty).split('"')[1].replace("&amp;", "&")
    assert Place.read(href).wanted.creator == nasty
    assert maker_link("") == ""


def test_the_sheet_knows_the_ends_of_the_list() -> None:
    def ends(at: int) -> SimpleNamespace:
        shown = sheet(Credit(id="a"), "data:,", stored=True, at=at, count=3)
        before, after = ("disabled" in part.split(">")[0] for part in shown.split("data-step=")[1:])
        return SimpleNamespace(before=before, after=after)

    assert [(ends(k).before, ends(k).after) for k in range(3)] == [
        (True, False),
        (False, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (None, ""),
        ({"left_out": 0, "marked": 0}, ""),
        ({"left_out": 1}, "Because their owners opted out of training, 1 image was left out."),
        (
            {"left_out": 1200, "marked": 2},
            "Because their owners opted out of training, 1,200 images were left out and 2 of those here are marked.",
        ),
        ({"marked": 1}, "Because their owners opted out of training, 1 of those here is marked."),
        ("many", ""),
        ({"left_out": "<b>", "marked": -3}, ""),
    ],
)
def test_what_opted_out_is_said(facts: Any, said: str, tmp_path: Path) -> None:
    collection = fake_collection(tmp_path, n=20)
    if facts is not None:
        write_card(tmp_path, {**collection.card, "opted_out": facts})
    own = TrainingSetServices(Services.open(Settings(collection=tmp_path)))
    assert own.opt_outs() == said
    assert own.words(Place(), own.find(Place()), 1) == f"All 20 training images. {said}".strip()


def test_a_marked_image_says_so_on_its_sheet() -> None:
    shown = dict(credit_facts(Credit("a", opted_out="noai: <i>"), stored=True))
    assert shown["Opted out"] == "noai: &lt;i&gt;"
    assert dict(credit_facts(Credit("a"), stored=True))["Opted out"] == ""
